"""A short job goes between two batches of a long one: a whole daemon, its real socket, real signals, fake engines."""

import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import long_silence, voice, wav

PACE_SECONDS = 0.25
SLOW = {"FAKE_CHUNK_SECONDS": "2", "STENO_MODEL": f"pace={PACE_SECONDS}"}
"""talk.flac becomes two dozen batches of one chunk, six seconds of work."""


def copy(daemon: DaemonUnderTest, source: Path = TALK, name: str = "long.flac") -> Path:
    return Path(shutil.copy(source, daemon.home / name))


def command(daemon: DaemonUnderTest, name: str = "command.wav") -> Path:
    """Two seconds of speech, one chunk."""
    return wav(daemon.home / name, voice(MEMO)[:32_000])


def running(daemon: DaemonUnderTest, job_id: int) -> dict[str, Any]:
    return next((one for one in daemon.get("/v1/status")["running"] if one["id"] == job_id), {})


def underway(daemon: DaemonUnderTest, job_id: int, seconds: float = 4) -> None:
    eventually(
        lambda: (now := running(daemon, job_id)).get("phase") == "transcribing" and now["done_seconds"] >= seconds
    )


def events(daemon: DaemonUnderTest, name: str, job_id: int) -> list[str]:
    lines = daemon.log.read_text().splitlines()
    return [line for line in lines if name in line and re.search(rf"\bjob\b\W+{job_id}\b", line)]


def heard(job: dict[str, Any]) -> list[str]:
    """How each attempt of the transcriber ended."""
    return [attempt["outcome"] for attempt in job["attempts"] if attempt["role"] == "transcriber"]


def test_three_short_jobs_pass_a_long_one_which_loses_no_word_and_no_work() -> None:
    with a_daemon(**SLOW) as daemon:
        undisturbed = daemon.finished(daemon.submit(copy(daemon, name="undisturbed.flac")))
        alone = time.monotonic()
        daemon.finished(daemon.submit(command(daemon, "alone.wav"), priority="now"))
        alone = time.monotonic() - alone
        long = daemon.submit(copy(daemon))
        normal = daemon.submit(command(daemon, "normal.wav"))
        for number in range(3):
            underway(daemon, long, 4 + 6 * number)
            began = time.monotonic()
            short = daemon.finished(daemon.submit(command(daemon, f"{number}.wav"), priority="now"))
            assert time.monotonic() - began < PACE_SECONDS + 1.5 * alone + 1.0, "a busy machine's second on top"
            assert (short["status"], short["priority"], short["timing"]) == ("done", "now", "word")
            assert daemon.job(long)["status"] == "transcribing"
            assert daemon.job(normal)["status"] == "waiting"
        job = daemon.finished(long)
        assert job["status"] == "done"
        assert [(a["role"], a["outcome"]) for a in job["attempts"]] == [
            (a["role"], a["outcome"]) for a in undisturbed["attempts"]
        ]
        assert daemon.transcript(job)["segments"] == daemon.transcript(undisturbed)["segments"]
        assert len(events(daemon, "job_made_way", long)) == 3
        assert len(events(daemon, "job_started", long)) == 1
        assert daemon.finished(normal)["status"] == "done"
        assert daemon.worker("transcriber")["restarts"] == 0


def test_while_a_long_job_makes_way_its_status_says_so() -> None:
    with a_daemon(**SLOW) as daemon:
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        short = daemon.submit(copy(daemon, name="urgent.flac"), priority="now")
        eventually(lambda: running(daemon, long)["phase"] == "paused")
        assert running(daemon, long)["status"] == "transcribing"
        assert running(daemon, long)["done_seconds"] >= 4
        assert daemon.post(f"/v1/jobs/{short}/cancel").status_code == 200
        eventually(lambda: running(daemon, long)["phase"] == "transcribing")
        assert daemon.finished(long)["status"] == "done"


def test_a_transcriber_that_dies_on_the_urgent_job_costs_the_long_one_nothing() -> None:
    with a_daemon(**SLOW) as daemon:
        undisturbed = daemon.finished(daemon.submit(copy(daemon, name="undisturbed.flac")))
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        urgent = daemon.submit(copy(daemon, name="urgent.flac"), priority="now")
        eventually(lambda: running(daemon, urgent).get("phase") == "transcribing")
        daemon.kill_worker("transcriber", signal.SIGSEGV)
        jobs = [daemon.finished(job_id) for job_id in (urgent, long)]
        assert [heard(job) for job in jobs] == [["crashed", "done"], ["done"]]
        for job in jobs:
            assert daemon.transcript(job)["segments"] == daemon.transcript(undisturbed)["segments"]


def test_a_transcriber_that_dies_on_the_long_job_costs_the_urgent_one_nothing() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="12", STENO_MODEL="pace=2") as daemon:
        long = daemon.submit(copy(daemon))
        underway(daemon, long, 12)
        urgent = daemon.submit(command(daemon), priority="now")
        eventually(lambda: running(daemon, urgent))
        assert running(daemon, urgent)["phase"] is None, "it waits for the end of the batch"
        daemon.kill_worker("transcriber", signal.SIGSEGV)
        assert heard(daemon.finished(urgent)) == ["done"]
        assert daemon.job(long)["status"] == "transcribing"
        assert heard(daemon.finished(long)) == ["crashed", "done"]


@pytest.mark.parametrize("which", ["long", "short"])
def test_either_job_can_be_cancelled_while_the_long_one_makes_way(which: str) -> None:
    with a_daemon(**SLOW) as daemon:
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        short = daemon.submit(copy(daemon, name="urgent.flac"), priority="now")
        eventually(lambda: running(daemon, long)["phase"] == "paused")
        eventually(lambda: running(daemon, short).get("phase") == "transcribing")
        cancelled, other = (long, short) if which == "long" else (short, long)
        assert daemon.post(f"/v1/jobs/{cancelled}/cancel").json()["status"] == "cancelled"
        assert not (daemon.home / "spool" / str(cancelled)).exists()
        assert daemon.finished(other)["status"] == "done"
        daemon.post(f"/v1/jobs/{cancelled}/retry")
        assert daemon.finished(cancelled)["status"] == "done"
        assert daemon.worker("transcriber")["restarts"] == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_daemon_that_ends_while_the_long_job_makes_way_finishes_both_afterwards(how: str) -> None:
    with a_daemon(**SLOW) as daemon:
        undisturbed = daemon.finished(daemon.submit(copy(daemon, name="undisturbed.flac")))
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        short = daemon.submit(copy(daemon, name="urgent.flac"), priority="now")
        eventually(lambda: running(daemon, long)["phase"] == "paused")
        daemon.stop() if how == "stop" else daemon.kill()
        daemon.start()
        first = daemon.finished(short)
        assert daemon.job(long)["status"] == "transcribing"
        job = daemon.finished(long)
        for one in (first, job):
            assert one["status"] == "done"
            assert daemon.transcript(one)["segments"] == daemon.transcript(undisturbed)["segments"]


def test_a_paused_queue_starts_no_urgent_job_and_the_running_one_goes_on() -> None:
    with a_daemon(**SLOW) as daemon:
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        daemon.post("/v1/queue/pause")
        short = daemon.submit(command(daemon), priority="now")
        assert daemon.finished(long)["status"] == "done"
        assert daemon.job(short)["status"] == "waiting"
        daemon.post("/v1/queue/resume")
        assert daemon.finished(short)["status"] == "done"


def test_a_short_job_does_not_wait_for_a_long_decoding_which_goes_on_meanwhile() -> None:
    with a_daemon(**SLOW) as daemon:
        recording = long_silence(daemon.home / "hours.flac", 10.0)
        long = daemon.submit(recording, workflow="transcribe")
        eventually(lambda: running(daemon, long).get("phase") == "decoding")
        short = daemon.finished(daemon.submit(command(daemon), priority="now"))
        assert short["status"] == "done"
        assert daemon.job(long)["recording"] is None, "still being decoded"
        eventually(lambda: daemon.job(long)["recording"], 120)
        assert daemon.job(long)["attempts"] == []
        daemon.post(f"/v1/jobs/{long}/cancel")


def test_an_urgent_job_takes_a_running_jobs_model_away_once_and_then_waits_for_it() -> None:
    with a_daemon(**SLOW) as daemon:
        long = daemon.submit(copy(daemon))
        underway(daemon, long)
        other = f"pace={PACE_SECONDS},other=1"
        first = daemon.submit(command(daemon, "first.wav"), priority="now", model=other)
        assert daemon.finished(first)["status"] == "done"
        underway(daemon, long, 6)
        second = daemon.submit(command(daemon, "second.wav"), priority="now", model=other)
        suits = daemon.finished(daemon.submit(command(daemon, "third.wav"), priority="now"))
        assert suits["status"] == "done"
        assert daemon.job(second)["status"] == "waiting"
        assert daemon.job(long)["status"] == "transcribing"
        assert daemon.finished(long)["status"] == "done"
        assert daemon.finished(second)["status"] == "done"
