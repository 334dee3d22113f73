"""What a job lives through when its workers die: the whole daemon, its real socket, real signals, fake engines."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon
from eventually import eventually
from no_leftovers import lives

SLOW_CHUNKS = {"FAKE_CHUNK_SECONDS": "5", "STENO_MODEL": "pace=0.3"}
"""talk.flac becomes ten chunks, and something is always in the middle."""
SLOW_WORDS = {"FAKE_CHUNK_SECONDS": "5", "STENO_ALIGNMENT_MODEL": "pace=0.15"}


def recording(daemon: DaemonUnderTest, source: Path = TALK, name: str = "talk.flac") -> Path:
    return Path(shutil.copy(source, daemon.home / name))


def starts(job: dict[str, object], daemon: DaemonUnderTest) -> list[float]:
    return [segment["start"] for segment in daemon.transcript(job)["segments"]]


def test_a_segfault_costs_one_attempt_and_the_job_finishes_from_where_it_was() -> None:
    with a_daemon(**SLOW_CHUNKS) as daemon:
        undisturbed = daemon.finished(daemon.submit(recording(daemon, name="undisturbed.flac")))
        job_id = daemon.submit(recording(daemon))

        def is_underway() -> bool:
            running = daemon.get("/v1/status")["running"]
            return bool(running) and running[0]["phase"] == "transcribing" and running[0]["done_seconds"] >= 15

        eventually(is_underway)
        daemon.kill_worker("transcriber", signal.SIGSEGV)
        job = daemon.finished(job_id)
        assert job["status"] == "done"
        assert job["timing"] == "word"
        story = [(attempt["role"], attempt["outcome"], attempt["signal"]) for attempt in job["attempts"]]
        assert story[0] == ("transcriber", "crashed", "SIGSEGV")
        assert ("transcriber", "done", None) in story
        assert 15 <= job["attempts"][0]["done_seconds"] < job["audio_seconds"]
        assert job["created_at"] < job["attempts"][0]["at"] < job["finished_at"]
        assert daemon.transcript(job)["text"] == daemon.transcript(undisturbed)["text"]
        resumed = [line for line in daemon.log.read_text().splitlines() if "transcription_resumed" in line]
        assert resumed, "stored segments are not transcribed again"
        assert daemon.worker("transcriber")["restarts"] == 1
        assert daemon.worker("transcriber")["last_death"]["signal"] == "SIGSEGV"


def test_the_second_segfault_hands_the_job_to_the_fallback_engine(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("2")
    with a_daemon(
        WHISPER_BACKEND="fake_engines:CrashTimesTranscriber",
        STENO_WORKERS_FALLBACK="true",
        STENO_FALLBACK_MODEL="starter",
        FAKE_CRASHES=str(crashes),
    ) as daemon:
        job = daemon.finished(daemon.submit(recording(daemon, MEMO)), 120)
        assert job["status"] == "done"
        story = [(a["engine"], a["outcome"]) for a in job["attempts"] if a["role"] == "transcriber"]
        own = "fake_engines:CrashTimesTranscriber"
        assert story == [(own, "crashed"), (own, "crashed"), ("whisperx", "done")]
        assert "harbor office" in daemon.transcript(job)["text"]
        # The next job has its own chance with the engine that the owner chose.
        other = daemon.finished(daemon.submit(recording(daemon, MEMO, "other.flac")))
        assert [a["engine"] for a in other["attempts"] if a["role"] == "transcriber"] == [own]


def test_the_third_segfault_quarantines_the_job_and_the_others_go_on(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("3")
    with a_daemon(WHISPER_BACKEND="fake_engines:CrashTimesTranscriber", FAKE_CRASHES=str(crashes)) as daemon:
        poison = daemon.submit(recording(daemon))
        other = daemon.submit(recording(daemon, MEMO, "memo.flac"))
        job = daemon.finished(poison)
        assert job["status"] == "failed"
        assert [attempt["signal"] for attempt in job["attempts"]] == ["SIGSEGV"] * 3
        assert job["attempts"][-1]["phase"] == "transcribing"
        assert job["error"]["code"] == "transcriber_crashed"
        assert "SIGSEGV" in job["error"]["message"]
        assert "steno retry" in job["error"]["hint"]
        report = next((daemon.home / "logs" / "crashes").iterdir()).read_text()
        assert "Segmentation fault" in report
        assert daemon.finished(other)["status"] == "done"
        daemon.post(f"/v1/jobs/{poison}/retry")
        assert daemon.finished(poison)["status"] == "done"


def test_a_dead_aligner_costs_no_words() -> None:
    with a_daemon(**SLOW_WORDS) as daemon:
        job_id = daemon.submit(recording(daemon))
        daemon.kill_worker("aligner", signal.SIGSEGV)
        job = daemon.finished(job_id)
        assert (job["timing"], job["degraded_reason"]) == ("word", None)
        assert ("aligner", "crashed", "SIGSEGV") in [(a["role"], a["outcome"], a["signal"]) for a in job["attempts"]]


def test_a_poisonous_segment_keeps_its_own_times_and_all_others_get_words() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5") as daemon:
        text = daemon.transcript(daemon.finished(daemon.submit(recording(daemon))))["segments"][6]["text"]
    with a_daemon(ALIGNMENT_BACKEND="fake_engines:PoisonAligner", FAKE_POISON=text, FAKE_CHUNK_SECONDS="5") as daemon:
        job = daemon.finished(daemon.submit(recording(daemon)))
        assert (job["timing"], job["degraded_reason"]) == ("mixed", "aligner_crashed")
        left = [segment["id"] for segment in daemon.transcript(job)["segments"] if not segment["words"]]
        assert left == [6]


def test_jobs_do_not_wait_for_a_broken_aligner_and_gain_their_words_when_it_is_back(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("1000")
    with a_daemon(
        ALIGNMENT_BACKEND="fake_engines:CrashTimesAligner",
        FAKE_CRASHES=str(crashes),
        STENO_RESTARTS_DEATHS_ALLOWED="1",
    ) as daemon:
        daemon.finished(daemon.submit(recording(daemon, MEMO, "breaks it.flac")))
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "broken")
        jobs = [
            daemon.finished(daemon.submit(recording(daemon, MEMO, name), formats=["json", "txt"]))
            for name in ("a.flac", "b.flac")
        ]
        for job in jobs:
            assert (job["status"], job["timing"]) == ("done", "segment")
            assert job["degraded_reason"] == "aligner_unavailable"
        edited = Path(jobs[1]["outputs"]["txt"])
        edited.write_text("corrected by hand")
        crashes.write_text("0")
        assert daemon.post("/v1/workers/aligner/restart").status_code == 200
        for job in jobs:
            eventually(lambda job=job: daemon.job(job["id"])["timing"] == "word", 20)
            assert daemon.job(job["id"])["degraded_reason"] is None
            assert daemon.transcript(job)["word_segments"]
        assert edited.read_text() == "corrected by hand"


@pytest.mark.parametrize("role", ["transcriber", "aligner"])
def test_a_stopped_worker_meets_its_deadline_while_the_socket_answers(role: str) -> None:
    pace = {"STENO_MODEL": "pace=0.3"} if role == "transcriber" else {"STENO_ALIGNMENT_MODEL": "pace=0.3"}
    with a_daemon(FAKE_CHUNK_SECONDS="5", STENO_DEADLINES_PROGRESS_SECONDS="1.5", **pace) as daemon:
        job_id = daemon.submit(recording(daemon))
        pid = daemon.kill_worker(role, signal.SIGSTOP)
        eventually(lambda: daemon.worker(role)["restarts"] == 1 and daemon.worker(role)["pid"] != pid, 20)
        job = daemon.finished(job_id)
        assert (job["status"], job["timing"]) == ("done", "word")
        assert "timeout" in [attempt["outcome"] for attempt in job["attempts"] if attempt["role"] == role]


def test_a_worker_that_never_says_ready_is_given_up_and_the_job_waits_with_a_reason() -> None:
    with a_daemon(
        WHISPER_BACKEND="fake_engines:HangOnLoadTranscriber",
        STENO_DEADLINES_BOOT_SECONDS="0.7",
        STENO_RESTARTS_DEATHS_ALLOWED="1",
    ) as daemon:
        job_id = daemon.submit(recording(daemon))
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "broken")
        job = eventually(lambda: "broken" in ((job := daemon.job(job_id))["note"] or "") and job)
        assert job["status"] == "waiting"


def test_a_missing_model_makes_jobs_wait_and_says_which() -> None:
    with a_daemon(WHISPER_BACKEND="fake_engines:NeedsModelTranscriber", STENO_WORKERS_FALLBACK="true") as daemon:
        job_id = daemon.submit(recording(daemon))
        eventually(lambda: "needs model" in (daemon.job(job_id)["note"] or ""))
        assert daemon.job(job_id)["status"] == "waiting"
        assert daemon.worker("transcriber")["restarts"] == 0


def test_killing_the_supervisor_again_and_again_loses_nothing_and_does_nothing_twice() -> None:
    with a_daemon(**SLOW_CHUNKS) as daemon:
        jobs = [daemon.submit(recording(daemon, MEMO, f"{number}.flac")) for number in range(4)]
        for _ in range(3):
            eventually(lambda: daemon.get("/v1/status")["running"])
            workers = daemon.children()
            daemon.kill()
            eventually(lambda workers=workers: not any(lives(worker) for worker in workers), 2)
            daemon.start()
        finished = [daemon.finished(job_id) for job_id in jobs]
        assert {job["status"] for job in finished} == {"done"}
        for job in finished:
            assert [a["outcome"] for a in job["attempts"] if a["role"] == "transcriber"] == ["done"]
            assert all(Path(output).exists() for output in job["outputs"].values())
        assert len(list(daemon.home.glob("*.json"))) == len(jobs)


def test_a_worker_killed_between_jobs_costs_no_job_anything() -> None:
    with a_daemon() as daemon:
        for role in ("transcriber", "aligner"):
            pid = daemon.kill_worker(role, signal.SIGSEGV, when="ready")
            daemon.wait_for_worker(role, lambda worker, pid=pid: worker["state"] == "ready" and worker["pid"] != pid)
        job = daemon.finished(daemon.submit(recording(daemon, MEMO)))
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["done", "done"]


def test_asked_twice_the_daemon_leaves_at_once() -> None:
    with a_daemon(**SLOW_CHUNKS) as daemon:
        daemon.submit(recording(daemon))
        eventually(lambda: daemon.get("/v1/status")["running"])
        children = daemon.children()
        os.kill(daemon.pid, signal.SIGTERM)
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.process is not None
        daemon.process.wait(timeout=5)
        eventually(lambda: not any(lives(child) for child in children), 2)
        daemon.start()
        assert daemon.finished(1)["status"] == "done"
