"""The whole daemon with the real starter models: every pair of engines, and real SIGSEGVs in real native code."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_under_test import MEMO, STARTERS, TALK, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import voice, wav

from client.daemon.connection import DaemonClient

pytestmark = pytest.mark.models

SLOW_SECONDS = 300
"""MLX on a CPU takes a second for each second of sound, and the machine may have better things to do."""
BOOT_SECONDS = 90


def words_of(text: str) -> list[str]:
    """As a listener compares: no case, no punctuation, numbers as they are spoken."""
    return re.sub(r"[^a-z ]", " ", text.lower().replace("9.30", "nine thirty")).split()


def word_error_rate(wanted: list[str], heard: list[str]) -> float:
    """Levenshtein distance in words over the number of words wanted."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1] / len(wanted)


def ready(daemon: DaemonUnderTest) -> None:
    for role in ("transcriber", "aligner"):
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", BOOT_SECONDS)


def recording(daemon: DaemonUnderTest, source: Path, name: str) -> Path:
    return Path(shutil.copy(source, daemon.home / name))


def hears_the_memo(daemon: DaemonUnderTest, transcriber: str, aligner: str) -> dict[str, Any]:
    """The canary comes through, and the memo becomes its words, each timed in its place; the transcript."""
    with DaemonClient(daemon.socket) as client:
        canary = client.health(fresh=True).canary
    assert canary is not None and canary.detail == "all 12 words timed"
    job = daemon.finished(daemon.submit(recording(daemon, MEMO, "memo.flac")), SLOW_SECONDS)
    assert (job["status"], job["timing"], job["degraded_reason"], job["language"]) == ("done", "word", None, "en")
    transcript = daemon.transcript(job)
    wanted = words_of(MEMO.with_suffix(".txt").read_text(encoding="utf-8"))
    assert word_error_rate(wanted, words_of(transcript["text"])) <= 0.1
    assert " ".join(word["word"] for word in transcript["word_segments"]) == transcript["text"]
    for segment in transcript["segments"]:
        behind = segment["start"]
        for word in segment["words"]:
            assert behind <= word["start"] <= word["end"] <= segment["end"]
            behind = word["start"]
    assert transcript["engine"]["transcriber"]["engine"] == transcriber
    assert transcript["engine"]["aligner"]["engine"] == aligner
    return transcript


# The fourth pair, mlx and whisperx, has its turn before it is shot at below.
@pytest.mark.parametrize(("transcriber", "aligner"), [("whisperx", "whisperx"), ("whisperx", "mlx"), ("mlx", "mlx")])
def test_a_pair_of_engines_hears_the_memo_and_times_its_words(transcriber: str, aligner: str) -> None:
    with a_daemon(WHISPER_BACKEND=transcriber, ALIGNMENT_BACKEND=aligner, **STARTERS) as daemon:
        ready(daemon)
        hears_the_memo(daemon, transcriber, aligner)


def test_to_do_without_words_on_purpose_is_no_degradation() -> None:
    with a_daemon(WHISPER_BACKEND="whisperx", ALIGNMENT_BACKEND="none", **STARTERS) as daemon:
        job = daemon.finished(daemon.submit(recording(daemon, TALK, "talk.flac")), SLOW_SECONDS)
        assert (job["status"], job["timing"], job["degraded_reason"]) == ("done", "segment", "alignment_off")
        wanted = words_of(TALK.with_suffix(".txt").read_text(encoding="utf-8"))
        assert word_error_rate(wanted, words_of(daemon.transcript(job)["text"])) <= 0.1
        assert [worker["role"] for worker in daemon.get("/v1/status")["workers"]] == ["transcriber"]


def test_real_segfaults_in_both_real_workers_change_no_word() -> None:
    with a_daemon(WHISPER_BACKEND="hybrid", ALIGNMENT_BACKEND="whisperx", **STARTERS) as daemon:
        ready(daemon)
        undisturbed = hears_the_memo(daemon, "mlx", "whisperx")
        job_id = daemon.submit(recording(daemon, MEMO, "disturbed.flac"))
        eventually(
            lambda: (running := daemon.get("/v1/status")["running"]) and running[0]["phase"] == "transcribing", 60
        )
        daemon.kill_worker("transcriber", signal.SIGSEGV)
        # Stopped, it cannot be done before we are there; the signal meets it when it goes on.
        aligner = daemon.kill_worker("aligner", signal.SIGSTOP, when="ready")
        eventually(lambda: daemon.worker("aligner")["state"] == "busy", SLOW_SECONDS)
        os.kill(aligner, signal.SIGSEGV)
        os.kill(aligner, signal.SIGCONT)
        job = daemon.finished(job_id, SLOW_SECONDS)
        assert (job["status"], job["timing"], job["degraded_reason"]) == ("done", "word", None)
        story = {(a["role"], a["engine"], a["outcome"], a["signal"]) for a in job["attempts"]}
        assert ("transcriber", "mlx", "crashed", "SIGSEGV") in story
        assert ("aligner", "whisperx", "crashed", "SIGSEGV") in story
        assert daemon.transcript(job)["segments"] == undisturbed["segments"]


def test_the_second_segfault_of_mlx_hands_the_job_to_the_real_fallback() -> None:
    with a_daemon(
        WHISPER_BACKEND="mlx", ALIGNMENT_BACKEND="whisperx", STENO_WORKERS_FALLBACK="true", **STARTERS
    ) as daemon:
        ready(daemon)
        job_id = daemon.submit(recording(daemon, TALK, "talk.flac"))
        killed: set[int] = set()

        def an_mlx_worker_at_work() -> int | None:
            running = daemon.get("/v1/status")["running"]
            worker = daemon.worker("transcriber")
            at_work = running and running[0]["phase"] == "transcribing" and worker["state"] == "busy"
            return worker["pid"] if at_work and worker["engine"] == "mlx" and worker["pid"] not in killed else None

        def crashes() -> int:
            return sum(a["outcome"] == "crashed" for a in daemon.get(f"/v1/jobs/{job_id}")["attempts"])

        # A worker shot between two requests holds no job: that death counts for nothing, and the next worker is shot.
        while crashes() < 2:
            eventually(lambda: an_mlx_worker_at_work() or crashes() == 2, BOOT_SECONDS)
            if pid := an_mlx_worker_at_work():
                os.kill(pid, signal.SIGSEGV)
                killed.add(pid)
        job = daemon.finished(job_id, SLOW_SECONDS)
        assert (job["status"], job["timing"]) == ("done", "word")
        story = [(a["engine"], a["outcome"]) for a in job["attempts"] if a["role"] == "transcriber"]
        assert story == [("mlx", "crashed"), ("mlx", "crashed"), ("whisperx", "done")]
        wanted = words_of(TALK.with_suffix(".txt").read_text(encoding="utf-8"))
        assert word_error_rate(wanted, words_of(daemon.transcript(job)["text"])) <= 0.1


@pytest.mark.parametrize(("transcriber", "rounds", "batch"), [("whisperx", 6, 2), ("mlx", 1, 1)])
def test_a_long_recording_has_the_same_transcript_with_three_urgent_jobs_in_between(
    transcriber: str, rounds: int, batch: int
) -> None:
    engines = {"WHISPER_BACKEND": transcriber, "ALIGNMENT_BACKEND": "whisperx"}
    with a_daemon(**engines, **STARTERS, STENO_WORKERS_BATCH_SIZE=str(batch)) as daemon:
        ready(daemon)
        # Parts of other lengths: two batches that were exchanged would be seen.
        sources = (TALK, MEMO, TALK, TALK, MEMO) * rounds
        parts = [voice(source)[number * 8_000 :] for number, source in enumerate(sources)]
        long = wav(daemon.home / "long.wav", np.concatenate(parts))
        undisturbed = daemon.finished(daemon.submit(long, if_exists="suffix"), SLOW_SECONDS)
        job_id = daemon.submit(long, if_exists="suffix")
        for share in (0.05, 0.25, 0.5):

            def is_further(seconds: float = share * undisturbed["audio_seconds"]) -> bool:
                running = [one for one in daemon.get("/v1/status")["running"] if one["id"] == job_id]
                return any(one["phase"] == "transcribing" and one["done_seconds"] > seconds for one in running)

            eventually(is_further, SLOW_SECONDS)
            short = wav(daemon.home / f"command{share}.wav", voice(MEMO)[: 3 * 16_000])
            urgent = daemon.finished(daemon.submit(short, priority="now"), SLOW_SECONDS)
            assert (urgent["status"], urgent["timing"]) == ("done", "word")
            assert daemon.job(job_id)["status"] == "transcribing"
        disturbed = daemon.finished(job_id, SLOW_SECONDS)
        made_way = [line for line in daemon.log.read_text().splitlines() if "job_made_way" in line]
        assert len(made_way) == 3, made_way
        one, other = (daemon.transcript(job) for job in (undisturbed, disturbed))
        assert len(one["segments"]) > 10
        for name in ("segments", "word_segments", "text", "language", "unheard"):
            assert json.dumps(one.get(name)) == json.dumps(other.get(name)), name
