"""Recordings of a whole daemon's watched folders that are renamed, moved, exchanged and brought back at every moment.

Runs in: the test process.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import noise, wav

LIMIT_SECONDS = 60.0
ANOTHER_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Than /tmp; where there is none, a move between two folders of one must do."""


def jobs_over(daemon: DaemonUnderTest, count: int) -> list[dict[str, Any]]:
    """All jobs, oldest first, once so many are there and finished."""

    def look() -> list[dict[str, Any]] | None:
        jobs = daemon.get("/v1/jobs", limit=1000)
        over = [job for job in jobs if job["status"] in ("done", "failed", "cancelled")]
        return jobs[::-1] if len(over) == len(jobs) == count else None

    jobs = eventually(look, LIMIT_SECONDS, f"{count} jobs are over; see {daemon.log}")
    assert jobs is not None
    return jobs


def taken(daemon: DaemonUnderTest, count: int) -> None:
    eventually(lambda: len(daemon.get("/v1/jobs")) == count, 20, f"{count} recordings are taken; see {daemon.log}")


def at_rest(daemon: DaemonUnderTest) -> None:
    """The daemon has dealt with all that lies in its folders: what is dropped last is taken, and nothing grows."""
    eventually(lambda: not any(view["growing_count"] for view in daemon.get("/v1/watches")), 20)


def drop(folder: Path, name: str, seconds: float) -> Path:
    """A recording unlike those of any other length."""
    folder.mkdir(exist_ok=True)
    other = folder / f".{name}"
    return wav(other, noise(seconds)).rename(folder / name)


def length_told(folder: Path, stem: str) -> float:
    """The length of the recording that the results of this name are of."""
    return float(json.loads((folder / f"{stem}.json").read_text())["duration"])


@contextmanager
def a_paused_daemon(config: str = "", **environment: str) -> Iterator[DaemonUnderTest]:
    with a_daemon(config, **environment) as daemon:
        daemon.post("/v1/queue/pause")
        yield daemon


def resume(daemon: DaemonUnderTest) -> None:
    daemon.post("/v1/queue/resume")


def test_a_recording_renamed_while_its_job_waits_is_done_once_and_under_its_new_name() -> None:
    with a_paused_daemon() as daemon:
        drop(daemon.inbox, "alpha.wav", 1.0).rename(daemon.inbox / "first.wav")
        taken(daemon, 1)
        at_rest(daemon)
        for name in ("second.wav", "third.wav"):
            next(daemon.inbox.glob("*.wav")).rename(daemon.inbox / name)
            eventually(lambda name=name: daemon.job(1)["path"].endswith(name), 10)  # type: ignore[misc]
        resume(daemon)
        (job,) = jobs_over(daemon, 1)
        assert (job["status"], job["path"]) == ("done", str(daemon.inbox / "third.wav"))
        shutil.copy(daemon.inbox / "third.wav", daemon.inbox / "copy.wav")
        drop(daemon.inbox, "other.wav", 1.1)
        jobs_over(daemon, 2)
        results = {"third.json", "third.srt", "other.json", "other.srt"}
        assert {path.name for path in daemon.inbox.iterdir()} == results | {"third.wav", "copy.wav", "other.wav"}


SLOW_TO_SETTLE = {"STENO_WATCHING_SETTLE_SECONDS": "4", "STENO_WATCHING_SCAN_SECONDS": "60"}
"""The job's turn comes long before a look at the folder could tell where its recording is."""


def test_recordings_moved_just_before_their_turn_are_found_wherever_a_watched_folder_has_them() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="steno-far-", dir=ANOTHER_DISK) as far,
        a_paused_daemon(**SLOW_TO_SETTLE) as daemon,
    ):
        daemon.stop()
        inbox, other = daemon.inbox, daemon.home / "other"
        folders = (inbox, other, Path(far))
        for folder in folders:
            folder.mkdir(exist_ok=True)
        config = "".join(f'[[watch]]\npath = "{folder}"\nrecursive = true\n' for folder in folders)
        (daemon.home / "config.toml").write_text(config)
        daemon.start()
        ways = ["renamed", "deeper", "folder", "folders", "disks", "Letters", "copied", "A", "B", "stays"]
        there = [drop(inbox / way, "talk.wav", 1 + number / 10) for number, way in enumerate(ways)]
        taken(daemon, len(ways))
        there[0] = there[0].rename(inbox / "new name.wav")
        (inbox / "deep" / "er").mkdir(parents=True)
        there[1] = there[1].rename(inbox / "deep" / "er" / "talk.wav")
        there[2] = there[2].parent.rename(inbox / "2026") / "talk.wav"
        there[3] = there[3].rename(other / "talk.wav")
        there[4] = Path(shutil.move(there[4], Path(far) / "talk.wav"))
        there[5] = there[5].rename(there[5].with_name("TALK.wav"))
        copy = Path(shutil.copy2(there[6], inbox / "copy.wav"))
        there[6].unlink()
        there[6] = copy
        _exchange(there[7], there[8])
        there[7], there[8] = there[8], there[7]
        resume(daemon)
        jobs = jobs_over(daemon, len(ways))
        assert [(job["status"], job["error"], job["path"]) for job in jobs] == [
            ("done", None, str(path)) for path in there
        ]
        told = [length_told(path.parent, path.stem) for path in there]
        assert told == [1 + number / 10 for number in range(len(ways))]
        results = [path for folder in folders for path in folder.rglob("*.srt")]
        assert len(results) == len(ways), "none beside a name of before"


def test_a_recording_renamed_while_it_is_heard_has_its_results_under_the_new_name() -> None:
    slow = {"STENO_MODEL": "pace=0.4", "FAKE_CHUNK_SECONDS": "0.5"}
    with a_daemon(**SLOW_TO_SETTLE | {"STENO_WATCHING_SETTLE_SECONDS": "0.3"}, **slow) as daemon:
        recording = drop(daemon.inbox, "talk.wav", 3.0)
        eventually(lambda: [one for one in daemon.get("/v1/status")["running"] if one["phase"] == "transcribing"], 20)
        recording.rename(daemon.inbox / "renamed.wav")
        (job,) = jobs_over(daemon, 1)
        assert job["outputs"]["json"] == str(daemon.inbox / "renamed.json")
        assert len(job["attempts"]) == 2
        # The next one under the old name is another recording.
        drop(daemon.inbox, "talk.wav", 1.0)
        jobs_over(daemon, 2)
        assert (length_told(daemon.inbox, "talk"), length_told(daemon.inbox, "renamed")) == (1.0, 3.0)


def test_done_recordings_that_change_names_or_come_back_have_the_words_of_what_lies_there() -> None:
    with a_daemon() as daemon:
        a, b = drop(daemon.inbox, "a.wav", 1.0), drop(daemon.inbox, "b.wav", 2.0)
        jobs_over(daemon, 2)
        _exchange(a, b)
        jobs_over(daemon, 4)
        assert (length_told(daemon.inbox, "a"), length_told(daemon.inbox, "b")) == (2.0, 1.0)
        daemon.stop()
        _exchange(a, b)
        daemon.start()
        jobs_over(daemon, 6)
        assert (length_told(daemon.inbox, "a"), length_told(daemon.inbox, "b")) == (1.0, 2.0)
        # Nothing of that is done once more: touched, copied again, restarted.
        a.touch()
        shutil.copy(b, daemon.inbox / "again.wav")
        (daemon.inbox / "again.wav").replace(b)
        daemon.stop()
        daemon.start()
        drop(daemon.inbox, "last.wav", 1.5)
        jobs_over(daemon, 7)
        assert len(list(daemon.inbox.glob("*.srt"))) == 3


def _exchange(a: Path, b: Path) -> None:
    aside = a.rename(a.with_name(".aside"))
    b.rename(a)
    aside.rename(b)


def test_a_recording_taken_away_fails_and_is_done_where_it_comes_back_or_is_retried() -> None:
    with a_paused_daemon() as daemon:
        away = daemon.home / "away.wav"
        deleted, taken_out = drop(daemon.inbox, "deleted.wav", 1.0), drop(daemon.inbox, "taken out.wav", 1.1)
        copied = drop(daemon.inbox, "copied.wav", 1.2)
        taken(daemon, 3)
        deleted.unlink()
        taken_out.rename(away)
        copied.rename(daemon.home / "original.wav")
        resume(daemon)
        assert [job["error"]["code"] for job in jobs_over(daemon, 3)] == ["not_found"] * 3
        away.rename(daemon.inbox / "back.wav")
        shutil.copy(daemon.home / "original.wav", daemon.inbox / "a copy.wav")
        eventually(lambda: daemon.get("/v1/status")["queue"]["done"] == 2, 20)
        assert sorted(path.name for path in daemon.inbox.glob("*.srt")) == ["a copy.srt", "back.srt"]
        # To the very place, and the very file.
        drop(daemon.inbox, "deleted.wav", 1.0)
        eventually(lambda: daemon.get("/v1/status")["queue"]["done"] == 3, 20)
        assert (daemon.inbox / "deleted.srt").is_file()
        assert len(daemon.get("/v1/jobs")) == 3


def test_a_failed_recording_blocks_no_copy_and_a_retry_finds_it_where_it_was_moved() -> None:
    bad = {"WHISPER_BACKEND": "fake_engines:RaisingTranscriber", "FAKE_CHUNK_SECONDS": "1"}
    with a_daemon(**SLOW_TO_SETTLE | {"STENO_WATCHING_SETTLE_SECONDS": "0.3"}, **bad) as daemon:
        recording = drop(daemon.inbox, "bad.wav", 1.0)
        assert jobs_over(daemon, 1)[0]["status"] == "failed"
        daemon.stop()
        daemon.environment["WHISPER_BACKEND"] = "fake_engines:EchoTranscriber"
        daemon.environment["STENO_WATCHING_SETTLE_SECONDS"] = "4"
        daemon.start()
        recording.rename(daemon.inbox / "moved.wav")
        daemon.post("/v1/jobs/1/retry")
        job = daemon.finished(1)
        assert (job["status"], job["path"]) == ("done", str(daemon.inbox / "moved.wav"))
        assert (daemon.inbox / "moved.srt").is_file()
