"""The way of a job through the whole daemon: stops, cancels, pauses and upgrades in the middle of it.

Runs in: the test process.
"""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from no_leftovers import lives
from recordings import MEMO, TALK, noise, wav

from ipc.program import program
from supervisor.disks.temporary_names import UNFINISHED, TemporaryNames

SLOW_WORDS = {"FAKE_CHUNK_SECONDS": "1", "STENO_ALIGNMENT_MODEL": "pace=0.15"}
"""A recording of 6 s becomes six segments, and the aligner is far behind the transcriber."""
SLOW_CHUNKS = {"FAKE_CHUNK_SECONDS": "1", "STENO_MODEL": "pace=0.2"}


def recording(daemon: DaemonUnderTest, name: str = "talk.wav", seconds: float = 6.0) -> Path:
    return wav(daemon.home / name, noise(seconds))


def is_aligning(daemon: DaemonUnderTest, job_id: int) -> bool:
    return bool(daemon.job(job_id)["status"] == "aligning")


def test_an_orderly_stop_while_words_are_timed_costs_none_of_them() -> None:
    with a_daemon(**SLOW_WORDS) as daemon:
        job_id = daemon.submit(recording(daemon))
        eventually(lambda: is_aligning(daemon, job_id))
        assert daemon.stop() == 0
        assert not list(daemon.home.glob("talk.*t")), "nothing is written on the way out"
        daemon.start()
        assert daemon.job(job_id)["degraded_reason"] is None
        job = daemon.finished(job_id)
        assert (job["status"], job["timing"], job["degraded_reason"]) == ("done", "word", None)
        assert [(a["role"], a["outcome"]) for a in job["attempts"]] == [("transcriber", "done"), ("aligner", "done")]
        assert len(daemon.transcript(job)["segments"]) == 6


def test_a_job_cancelled_with_the_aligner_behind_comes_back_whole() -> None:
    with a_daemon(**SLOW_WORDS) as daemon:
        job_id = daemon.submit(recording(daemon))
        pids = [daemon.worker(role)["pid"] for role in ("transcriber", "aligner")]
        eventually(lambda: is_aligning(daemon, job_id))
        assert daemon.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
        assert not list((daemon.home / "spool").iterdir())
        assert daemon.post(f"/v1/jobs/{job_id}/retry").json()["status"] == "waiting"
        job = daemon.finished(job_id)
        assert (job["status"], job["timing"]) == ("done", "word")
        assert [segment["id"] for segment in daemon.transcript(job)["segments"]] == list(range(6))
        assert [daemon.worker(role)["pid"] for role in ("transcriber", "aligner")] == pids


def test_a_daemon_killed_in_the_middle_of_an_upgrade_upgrades_after_all(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("1000")
    with a_daemon(
        ALIGNMENT_BACKEND="fake_engines:CrashTimesAligner",
        FAKE_CRASHES=str(crashes),
        STENO_RESTARTS_DEATHS_ALLOWED="1",
        **SLOW_WORDS,
    ) as daemon:
        job_id = daemon.submit(recording(daemon))
        job = daemon.finished(job_id)
        assert job["degraded_reason"] == "aligner_unavailable"
        crashes.write_text("0")
        daemon.post("/v1/workers/aligner/restart")
        eventually(lambda: daemon.get("/v1/status")["running"])
        daemon.kill()
        assert not daemon.transcript(job)["word_segments"]
        daemon.start()
        eventually(lambda: daemon.job(job_id)["timing"] == "word", 20)
        assert daemon.job(job_id)["degraded_reason"] is None
        assert len(daemon.transcript(job)["word_segments"]) == 24


def test_a_recording_gone_before_the_upgrade_leaves_the_files_and_says_so(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("1000")
    with a_daemon(
        ALIGNMENT_BACKEND="fake_engines:CrashTimesAligner",
        FAKE_CRASHES=str(crashes),
        STENO_RESTARTS_DEATHS_ALLOWED="1",
        FAKE_CHUNK_SECONDS="1",
    ) as daemon:
        path = recording(daemon)
        job = daemon.finished(daemon.submit(path))
        path.unlink()
        before = daemon.transcript(job)
        crashes.write_text("0")
        daemon.post("/v1/workers/aligner/restart")
        eventually(lambda: daemon.job(job["id"])["degraded_reason"] == "recording_changed")
        assert daemon.transcript(job) == before


def test_restarting_a_busy_worker_costs_its_job_nothing() -> None:
    with a_daemon(**SLOW_CHUNKS) as daemon:
        job_id = daemon.submit(recording(daemon))
        pid = daemon.worker("transcriber")["pid"]
        eventually(lambda: daemon.get("/v1/status")["running"])
        assert daemon.post("/v1/workers/transcriber/restart").status_code == 200
        job = daemon.finished(job_id)
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["done", "done"]
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready" and worker["pid"] != pid)


def test_a_folder_that_is_missing_fails_the_job_and_a_retry_transcribes_nothing_again() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="1") as daemon:
        folder = daemon.home / "no" / "such"
        job_id = daemon.submit(recording(daemon), output_dir=str(folder))
        assert daemon.finished(job_id)["error"]["code"] == "folder_missing"
        folder.parent.mkdir()
        daemon.post(f"/v1/jobs/{job_id}/retry")
        job = daemon.finished(job_id)
        assert job["status"] == "done"
        assert [attempt["role"] for attempt in job["attempts"]] == ["transcriber", "aligner"]
        assert {Path(path).parent for path in job["outputs"].values()} == {folder}


STATES = {
    "loading": ({"STENO_MODEL": "load=30"}, "starting"),
    "deaf": ({"WHISPER_BACKEND": "fake_engines:IgnoresSigtermTranscriber", "FAKE_CHUNK_SECONDS": "1"}, "busy"),
    "backing_off": (
        {
            "WHISPER_BACKEND": "fake_engines:SegfaultOnLoadTranscriber",
            "STENO_RESTARTS_FIRST_DELAY_SECONDS": "30",
        },
        "backing_off",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_a_stop_takes_less_than_ten_seconds_and_leaves_a_waiting_job(state: str) -> None:
    environment, shown = STATES[state]
    with a_daemon(**environment) as daemon:
        job_id = daemon.submit(recording(daemon, seconds=3.0))
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == shown)
        children = daemon.children()
        assert daemon.stop() == 0
        eventually(lambda: not [child for child in children if lives(child)], 2, "no child is left")
        with closing(sqlite3.connect(daemon.home / "state" / "jobs.sqlite3")) as database:
            assert database.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone() == ("waiting",)
        shutil.rmtree(daemon.home / "spool" / str(job_id), ignore_errors=True)


def test_a_stop_asked_for_while_it_starts_is_an_orderly_one() -> None:
    with a_daemon() as daemon:
        daemon.stop()
        database = daemon.home / "state" / "jobs.sqlite3"
        database.unlink()
        daemon.process = subprocess.Popen(program("supervisor"), env=daemon.environment, cwd="/")
        eventually(database.exists)
        assert daemon.stop() == 0


def test_a_watched_recording_that_was_only_touched_can_be_retried(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("3")
    with a_daemon(WHISPER_BACKEND="fake_engines:CrashTimesTranscriber", FAKE_CRASHES=str(crashes)) as daemon:
        dropped = Path(shutil.copy(MEMO, daemon.inbox / "memo.flac"))
        eventually(lambda: [job for job in daemon.get("/v1/jobs") if job["status"] == "failed"], 30)
        os.utime(dropped)
        daemon.post("/v1/jobs/1/retry")
        assert daemon.finished(1)["status"] == "done"
        assert len(daemon.get("/v1/jobs")) == 1


def test_a_failed_job_takes_up_what_its_watched_recording_has_become(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("3")
    with a_daemon(
        WHISPER_BACKEND="fake_engines:CrashTimesTranscriber",
        FAKE_CRASHES=str(crashes),
        STENO_WATCHING_SCAN_SECONDS="60",
    ) as daemon:
        shutil.copy(MEMO, daemon.inbox / "memo.flac")
        eventually(lambda: [job for job in daemon.get("/v1/jobs") if job["status"] == "failed"], 30)
        with daemon.client() as client:
            client.delete("/v1/watches", params={"path": str(daemon.inbox)}).raise_for_status()
        shutil.copy(TALK, daemon.inbox / "memo.flac")
        daemon.post("/v1/jobs/1/retry")
        job = daemon.finished(1)
        assert (job["status"], round(job["audio_seconds"])) == ("done", 50)


def test_a_half_written_file_of_a_killed_daemon_is_gone_after_the_next_start() -> None:
    with a_daemon(WHISPER_BACKEND="fake_engines:NeedsModelTranscriber") as daemon:
        job_id = daemon.submit(recording(daemon))
        daemon.kill()
        # As it stands when the power goes between the first byte of a file and its rename.
        with closing(sqlite3.connect(daemon.home / "state" / "jobs.sqlite3")) as database:
            (installation,) = database.execute("SELECT value FROM facts WHERE name = 'installation'").fetchone()
        half = daemon.home / TemporaryNames(installation, job_id).fresh(UNFINISHED)
        of_another_queue = daemon.home / TemporaryNames("0123456789abcdef", job_id).fresh(UNFINISHED)
        for left in (half, of_another_queue):
            left.write_text("1\n00:00")
        (daemon.home / "spool" / str(job_id)).mkdir()
        with closing(sqlite3.connect(daemon.home / "state" / "jobs.sqlite3")) as database, database:
            reserved = f'{{"srt": {{"path": "{daemon.home}/talk.srt", "sha256": null}}}}'
            database.execute("UPDATE jobs SET outputs = ? WHERE id = ?", (reserved, job_id))
        daemon.start()
        assert not half.exists() and of_another_queue.exists()
        of_another_queue.unlink()
        daemon.post(f"/v1/jobs/{job_id}/cancel")
        daemon.stop()
        daemon.start()
