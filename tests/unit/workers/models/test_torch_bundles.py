"""Files that come from no hub: torchaudio's bundles, over a line that breaks."""

import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from fake_hub import FakeHub, a_hub

from config.model_names import ALIGNMENT_BUNDLES, BUNDLE_FILES
from ipc.model_messages import FileProgress, ModelHere, ShelfMessage, ShelfRefusal
from workers.model_manager.pull import Puller
from workers.model_manager.selection import Wish
from workers.model_manager.source import alignment_source
from workers.models import download
from workers.models.torch_bundles import bundle_file

GERMAN = ALIGNMENT_BUNDLES["de"]
FILE = BUNDLE_FILES[GERMAN]


def zipped(members: dict[str, bytes]) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


BUNDLE = zipped({"archive/data/0": os.urandom(2_000_000), "archive/version": b"3\n"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    with a_hub() as running:
        running.files = {FILE: BUNDLE}
        yield running


def said_by_pull(hub: FakeHub, folder: Path) -> list[ShelfMessage]:
    said: list[ShelfMessage] = []
    puller = Puller(said.append, folder, 0, f"{hub.address}/files/")
    puller.pull(Wish(GERMAN, alignment_source(GERMAN)))
    return said


def test_a_bundle_comes_through_a_breaking_line_to_where_torch_looks(hub: FakeHub, tmp_path: Path) -> None:
    hub.breaks_at[FILE] = [1_000_000, 500_000]
    said = said_by_pull(hub, tmp_path)
    first, second, third = hub.gets(FILE)
    assert first == "" and second != third
    assert all(wanted.startswith("bytes=") for wanted in (second, third))
    assert bundle_file(GERMAN).read_bytes() == BUNDLE
    assert [file.name for file in bundle_file(GERMAN).parent.iterdir() if file.suffix != ".lock"] == [FILE]
    here = [one for one in said if isinstance(one, ModelHere)]
    assert here[0].fetched_bytes == len(BUNDLE)
    assert any(isinstance(one, FileProgress) and one.total_bytes == len(BUNDLE) for one in said)


def test_a_damaged_bundle_is_noticed_and_replaced_and_one_that_stays_damaged_is_refused(
    hub: FakeHub, tmp_path: Path
) -> None:
    middle = len(BUNDLE) // 2
    file = bundle_file(GERMAN)
    file.parent.mkdir(parents=True)
    file.write_bytes(BUNDLE[:middle] + bytes([BUNDLE[middle] ^ 1]) + BUNDLE[middle + 1 :])
    said_by_pull(hub, tmp_path)
    assert file.read_bytes() == BUNDLE
    file.unlink()
    hub.files[FILE] = BUNDLE[:-100]
    refused = [one for one in said_by_pull(hub, tmp_path) if isinstance(one, ShelfRefusal)]
    assert [one.code for one in refused] == ["model_damaged"]
    assert [left.suffix for left in file.parent.iterdir()] == [".lock"]


def test_a_server_that_is_away_is_a_refusal(hub: FakeHub, tmp_path: Path) -> None:
    hub.files.clear()
    said = said_by_pull(hub, tmp_path)
    [refused] = [one for one in said if isinstance(one, ShelfRefusal)]
    assert (refused.code, str(bundle_file(GERMAN)) in refused.hint) == ("server_unreachable", True)
