"""What TAB offers, and that no name of a file can make the shell do anything.

Runs in: the test process.
"""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.commands import completion
from client.terminal.choices import FORMATS

SHELL_CODE = set("\"'`$\\;&|<>(){}[]*?!#\n\t\0:")


@given(st.text())
def test_nothing_that_a_shell_could_take_for_code_is_offered(name: str) -> None:
    offered = completion.harmless(name)
    assert not set(offered) & SHELL_CODE
    assert len(offered) == len(name)


def test_names_of_every_language_are_offered_as_they_are() -> None:
    assert completion.harmless("Grüße 日本語 (2).m4a") == "Grüße 日本語 _2_.m4a"


def test_formats_are_offered_one_after_the_other() -> None:
    assert completion.formats("") == [*FORMATS, "all"]
    assert completion.formats("s") == ["srt"]
    assert completion.formats("json,t") == ["json,txt", "json,tsv"]
    assert completion.formats("srt,json,s") == []


def test_languages_are_offered_by_code_and_by_name() -> None:
    assert ("de", "German") in completion.languages("")
    assert completion.languages("de") == [("de", "German")]
    assert ("german", "de") in completion.languages("GER")
    assert completion.languages("klingon") == []


def test_models_are_offered_by_name() -> None:
    assert completion.models("sta") == ["starter"]
    assert "large-v3-turbo" in completion.models("large")


@pytest.mark.parametrize("offers", [completion.jobs, completion.retryable_jobs, completion.watched_folders])
def test_without_a_daemon_nothing_is_offered(
    offers: completion.Offers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STENO_HOME", str(tmp_path))
    assert offers("") == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stenod.sock").touch()
    assert offers("") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    script = completion.script(shell)
    assert f"complete_{shell}" in script and "steno" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=20)


def test_bash_gets_folders_as_they_have_to_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path.home())
    folders = ["/in/My Recordings", f"{home}/Rec", "/in/$(touch x)"]
    monkeypatch.setattr(completion, "_asked", lambda url: [{"path": folder} for folder in folders])
    monkeypatch.setenv(completion.COMPLETE_VARIABLE, "complete_bash")
    (offered,) = [availability for availability, _ in completion.watched_folders("/in")]
    assert shlex.split(offered) == ["/in/My Recordings"]
    assert completion.watched_folders("~/R") == [("~/Rec", "")]
    monkeypatch.setenv(completion.COMPLETE_VARIABLE, "complete_zsh")
    assert completion.watched_folders("/in/M") == [("/in/My Recordings", "")]
