"""What flags make of the text that was typed."""

from pathlib import Path

import pytest

from client.terminal.choices import absolute


def test_a_path_has_no_dots_and_keeps_the_links_that_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "link.flac").symlink_to("rec")
    monkeypatch.chdir(tmp_path / "rec")
    assert absolute("../out") == f"{tmp_path}/out"
    assert absolute("./a/../b.wav") == f"{tmp_path}/rec/b.wav"
    assert absolute("../link.flac") == f"{tmp_path}/link.flac"


def test_the_folder_above_a_linked_one_is_the_one_that_the_system_means(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("elsewhere/deep")
    (tmp_path / "elsewhere" / "talk.wav").touch()
    assert Path(f"{tmp_path}/link/../talk.wav").exists(), "what `cp` would take"
    assert absolute(f"{tmp_path}/link/../talk.wav") == f"{tmp_path}/elsewhere/talk.wav"
