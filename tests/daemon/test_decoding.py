"""A recording is decoded by a process of its own: what a daemon makes of one that is exchanged, dies or hangs."""

import os
import shutil
import sys
from pathlib import Path

import psutil
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import voice, wav

from ipc.failpoints import ARMED_BY

SLOW_TO_LOAD = {"FAKE_CHUNK_SECONDS": "5", "STENO_MODEL": "load=2,pace=0.1"}


def traps(folder: Path, place: str, how: str, count: int) -> str:
    """So many decoders walk into one each."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{place}.{how}.{number}" for number in range(count)]
    for file in files:
        file.touch()
    return " ".join(f"decoder.{place}={how}:{file}" for file in files)


def pids(daemon: DaemonUnderTest) -> dict[str, int]:
    return {worker["role"]: worker["pid"] for worker in daemon.get("/v1/status")["workers"]}


def both_ready(daemon: DaemonUnderTest) -> None:
    for role in ("transcriber", "aligner"):
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")


def test_a_recording_that_kills_every_decoder_is_quarantined_and_no_worker_dies(tmp_path: Path) -> None:
    armed = traps(tmp_path / "traps", "recording_opened", "segv", 6)
    with a_daemon(FAKE_CHUNK_SECONDS="5", **{ARMED_BY: armed}) as daemon:
        both_ready(daemon)
        before = pids(daemon)
        job = daemon.finished(poison := daemon.submit(daemon.own(MEMO)))
        assert (job["status"], job["error"]["code"]) == ("failed", "decoder_crashed")
        assert "SIGSEGV" in job["error"]["message"] and "failpoints.py" in job["error"]["message"]
        story = [(one["engine"], one["outcome"], one["signal"], one["phase"]) for one in job["attempts"]]
        assert story == [("decoder", "crashed", "SIGSEGV", "decoding")] * 3
        assert pids(daemon) == before
        assert "Segmentation fault" in daemon.log.read_text(), "the traceback is in the log"
        assert daemon.finished(daemon.submit(Path(shutil.copy(TALK, daemon.home))))["status"] == "done"
        daemon.post(f"/v1/jobs/{poison}/retry")
        assert daemon.finished(poison)["status"] == "done"


def test_decoders_killed_for_another_reason_cost_a_good_recording_neither_words_nor_engine(tmp_path: Path) -> None:
    armed = traps(tmp_path / "traps", "decoding_begun", "kill", 1)
    armed += " " + traps(tmp_path / "traps", "recording_opened", "kill", 3)
    with a_daemon(STENO_WORKERS_FALLBACK="true", STENO_FALLBACK_MODEL="starter", **{ARMED_BY: armed}) as daemon:
        job = daemon.finished(daemon.submit(daemon.own(MEMO)))
        assert (job["status"], job["timing"]) == ("done", "word")
        story = [(one["engine"], one["outcome"]) for one in job["attempts"] if one["role"] == "transcriber"]
        own = "fake_engines:EchoTranscriber"
        assert story == [("decoder", "crashed"), ("decoder", "crashed"), (own, "done")], "no other engine is to blame"


def test_a_disk_that_goes_silent_under_a_recording_holds_up_no_other(tmp_path: Path) -> None:
    """A decoder that is stopped behind its walls looks like one that the kernel holds."""
    armed = traps(tmp_path / "traps", "shut_in", "stop", 1)
    with a_daemon(FAKE_CHUNK_SECONDS="5", STENO_WATCHING_UNREACHABLE_SECONDS="1", **{ARMED_BY: armed}) as daemon:
        both_ready(daemon)
        before = pids(daemon)
        silent = daemon.submit(daemon.own(MEMO))
        other = daemon.submit(daemon.own(TALK))
        assert daemon.finished(other, 9)["status"] == "done"
        waits = daemon.job(silent)
        assert (waits["status"], waits["attempts"]) == ("waiting", [])
        assert "does not answer" in waits["note"]
        assert daemon.finished(silent, 20)["status"] == "done", "it is tried again by itself"
        assert pids(daemon) == before


def test_a_recording_exchanged_while_the_worker_loads_is_transcribed_as_what_is_there_now() -> None:
    with a_daemon(**SLOW_TO_LOAD) as daemon:
        both_ready(daemon)
        new = daemon.transcript(daemon.finished(daemon.submit(wav(daemon.home / "new.wav", voice(MEMO)))))
        recording = wav(daemon.home / "rec.wav", voice(TALK))
        job_id = daemon.submit(recording)
        eventually(lambda: any(run["done_seconds"] > 15 for run in daemon.get("/v1/status")["running"]))
        assert daemon.post(f"/v1/jobs/{job_id}/cancel").is_success
        assert daemon.post("/v1/workers/transcriber/unload").is_success
        eventually(lambda: daemon.worker("transcriber")["state"] == "unloaded")
        assert daemon.post(f"/v1/jobs/{job_id}/retry").is_success
        eventually(lambda: daemon.worker("transcriber")["state"] == "starting")
        eventually(lambda: daemon.job(job_id)["status"] == "transcribing")
        shutil.copy(daemon.home / "new.wav", daemon.home / "again.wav").replace(recording)
        job = daemon.finished(job_id, 40)
        assert job["status"] == "done", job
        assert daemon.transcript(job)["text"] == new["text"], "not one word of the old recording"


def test_a_recording_rewritten_with_its_old_time_is_not_mixed_with_what_was_heard_before() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5", STENO_MODEL="pace=0.2") as daemon:
        turned = voice(TALK)[::-1]
        new = daemon.transcript(daemon.finished(daemon.submit(wav(daemon.home / "new.wav", turned))))
        recording = wav(daemon.home / "rec.wav", voice(TALK))
        job_id = daemon.submit(recording)
        eventually(lambda: any(run["done_seconds"] > 15 for run in daemon.get("/v1/status")["running"]))
        assert daemon.post(f"/v1/jobs/{job_id}/cancel").is_success
        eventually(lambda: daemon.job(job_id)["status"] == "cancelled")
        before = recording.stat()
        recording.write_bytes((daemon.home / "new.wav").read_bytes())
        os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = recording.stat()
        assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
        daemon.post(f"/v1/jobs/{job_id}/retry")
        job = daemon.finished(job_id, 40)
        assert job["status"] == "done", job
        assert daemon.transcript(job)["text"] == new["text"], "not one word of the old recording"


def test_no_recording_of_another_is_reached_through_a_link_in_a_watched_folder() -> None:
    """The folder in which the recording lies becomes a link while the job waits for its worker."""
    config = '[[watch]]\npath = "HOME/shared"\nrecursive = true\n'
    with a_daemon(config, **SLOW_TO_LOAD) as daemon:
        shared, private = daemon.home / "shared", daemon.home / "private"
        private.mkdir()
        shared.mkdir(exist_ok=True)
        daemon.post("/v1/queue/pause")
        (shared / "inner").mkdir()
        wav(shared / "inner" / "a.wav", voice(MEMO))
        (job_id,) = eventually(lambda: [job["id"] for job in daemon.get("/v1/jobs")], 20)
        (shared / "inner" / "a.wav").rename(private / "a.wav")
        (shared / "inner").rename(daemon.home / "away")
        (shared / "inner").symlink_to(private)
        daemon.post("/v1/queue/resume")
        job = eventually(lambda: (job := daemon.job(job_id))["note"] or job["status"] in ("failed", "cancelled"), 20)
        assert job
        assert daemon.job(job_id)["status"] != "done"
        assert list(private.iterdir()) == [private / "a.wav"], "nothing is written there either"


def test_a_transcriber_keeps_one_decoder_ready_and_the_aligner_none() -> None:
    ready = 2 if sys.platform == "linux" else 1  # there, with the server that it is a copy of

    def decoders(pid: int) -> list[psutil.Process]:
        return [child for child in psutil.Process(pid).children() if "workers.decoder" in child.cmdline()]

    with a_daemon(FAKE_CHUNK_SECONDS="5") as daemon:
        both_ready(daemon)
        for number in range(3):
            eventually(lambda: len(decoders(pids(daemon)["transcriber"])) == ready)
            assert not decoders(pids(daemon)["aligner"])
            copy = Path(shutil.copy(MEMO, daemon.home / f"{number}.flac"))
            assert daemon.finished(daemon.submit(copy))["status"] == "done"
        assert all(child.status() != psutil.STATUS_ZOMBIE for child in daemon.children())
