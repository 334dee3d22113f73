"""`steno transcribe` without a daemon, twice: it replaces what it wrote, and nothing of anybody else's.

Runs in: the test process; the command, and the daemon that it starts for itself, are processes of their own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_under_test import FAKES, QUICK, TEST_PATH
from recordings import tone, wav

from client.daemon.private_ledger import PrivateLedger
from config.places import find_places


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as name:
        yield Path(name)


def transcribe(home: Path, recording: Path, **environment: str) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("STENO_", "WHISPER_"))}
    settings = {"STENO_HOME": str(home), "PYTHONPATH": TEST_PATH, "STENO_OUTPUT_FORMATS": "txt"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "client.steno", "transcribe", str(recording)],
        env={**kept, **QUICK, **FAKES, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.txt"))}


def test_a_second_run_replaces_its_own_files_and_leaves_all_others(home: Path, tmp_path: Path) -> None:
    recording = wav(tmp_path / "talk.wav", tone(2.0))
    transcribe(home, recording)
    first = texts(tmp_path)
    assert first.keys() == {"talk.txt"}
    wav(recording, tone(4.0))
    transcribe(home, recording, FAKE_CHUNK_SECONDS="1")
    second = texts(tmp_path)
    assert second.keys() == {"talk.txt"} and second != first
    # A file that was edited is the user's.
    (tmp_path / "talk.txt").write_text("mine now\n")
    transcribe(home, recording)
    third = texts(tmp_path)
    assert third.keys() == {"talk.txt", "talk (2).txt"} and third["talk.txt"] == "mine now\n"
    # The ledger has names and hashes, and not a word of what was said.
    ledger = (home / "state" / "transcribed.sqlite3").read_bytes()
    assert b"talk.txt" in ledger
    assert not [word for word in third["talk (2).txt"].split() if len(word) > 4 and word.encode() in ledger]


def test_a_damaged_ledger_costs_nothing_but_itself(home: Path, tmp_path: Path) -> None:
    recording = wav(tmp_path / "talk.wav", tone(2.0))
    (home / "state").mkdir(mode=0o700)
    ledger = home / "state" / "transcribed.sqlite3"
    ledger.write_bytes(b"no database")
    transcribe(home, recording)
    transcribe(home, recording)
    assert texts(tmp_path).keys() == {"talk.txt"}
    assert ledger.read_bytes().startswith(b"SQLite format 3")


def test_one_command_at_a_time_has_the_ledger(home: Path, tmp_path: Path) -> None:
    owner = find_places({"STENO_HOME": str(home)})
    theirs, ours = (find_places({"STENO_HOME": str(tmp_path / name)}) for name in ("a", "b"))
    for places in (theirs, ours):
        places.state.parent.mkdir(parents=True)
    with PrivateLedger.lent(owner, theirs) as first, PrivateLedger.lent(owner, ours) as second:
        assert first is not None and second is None
    with PrivateLedger.lent(owner, ours) as again:
        assert again is not None


def test_without_a_folder_for_the_ledger_a_file_is_transcribed_all_the_same(home: Path, tmp_path: Path) -> None:
    recording = wav(tmp_path / "talk.wav", tone(2.0))
    (home / "state").touch()
    transcribe(home, recording)
    assert texts(tmp_path).keys() == {"talk.txt"}
