"""What follows a job, seen from outside: folders `done` and `failed`, hooks, kills in between.

Runs in: the test process.
"""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from daemon_under_test import DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import noise, tone, wav

FOLDERS = """
[[watch]]
path = "HOME/Transcribe"
done = "done"
failed = "failed"
"""


def database(daemon: DaemonUnderTest) -> sqlite3.Connection:
    return sqlite3.connect(daemon.home / "state" / "jobs.sqlite3")


def brought(daemon: DaemonUnderTest, recording: Path, **options: object) -> int:
    """A job as if the watched folder had brought it; the recording lies in a folder that nobody scans."""
    daemon.post("/v1/queue/pause")
    job_id = daemon.submit(recording, **options)
    with closing(database(daemon)) as rows, rows:
        rows.execute("UPDATE jobs SET watch = ? WHERE id = ?", (str(daemon.inbox), job_id))
    daemon.post("/v1/queue/resume")
    return job_id


def dropped(daemon: DaemonUnderTest, name: str = "a.wav", hertz: float = 440.0) -> Path:
    hidden = daemon.inbox / ".unseen"
    hidden.mkdir(parents=True, exist_ok=True)
    return wav(hidden / name, tone(2.0, hertz=hertz))


def at(daemon: DaemonUnderTest, job_id: int, place: Path) -> dict[str, Any]:
    """The job once its recording is there."""
    eventually(lambda: daemon.job(job_id)["path"] == str(place), 20, f"the recording is moved to {place}")
    assert place.exists()
    return daemon.job(job_id)


def hook(folder: Path, body: str) -> str:
    """A command that appends to `calls` what it was told, and then does as the body says."""
    path = folder / "hook"
    path.write_text(f'#!/bin/sh\necho "$STENO_RECORDING" >> {folder}/paths\n(cat; echo) >> {folder}/calls\n{body}\n')
    path.chmod(0o755)
    return str(path)


def calls(folder: Path) -> list[dict[str, Any]]:
    told = folder / "calls"
    return [json.loads(line) for line in told.read_text().splitlines() if line] if told.exists() else []


def test_a_recording_goes_to_done_and_the_next_of_its_name_harms_nothing_of_the_first(tmp_path: Path) -> None:
    with a_daemon(FOLDERS, FAKE_CHUNK_SECONDS="1", STENO_HOOKS_ON_DONE=hook(tmp_path, "exit 0")) as daemon:
        first, done = dropped(daemon), daemon.inbox / "done"
        sound = first.read_bytes()
        job = at(daemon, brought(daemon, first), done / "a.wav")
        assert not first.exists() and (done / "a.wav").read_bytes() == sound
        beside = {first.with_suffix(".json"), first.with_suffix(".srt")}
        assert {Path(path) for path in job["outputs"].values()} == beside
        (call,) = eventually(lambda: calls(tmp_path))
        assert (call["event"], call["upgraded"], call["job"]["id"]) == ("done", False, job["id"])
        assert call["job"]["path"] == str(done / "a.wav"), "the hook is told where the recording is"
        assert (tmp_path / "paths").read_text() == f"{done / 'a.wav'}\n"
        before = {path: Path(path).read_bytes() for path in job["outputs"].values()}

        second = at(daemon, brought(daemon, dropped(daemon, hertz=880.0), if_exists="overwrite"), done / "a (2).wav")
        assert {Path(path).name for path in second["outputs"].values()} == {"a (2).json", "a (2).srt"}
        assert {path: Path(path).read_bytes() for path in before} == before
        assert (done / "a.wav").read_bytes() == sound


def test_a_kill_before_a_move_or_between_it_and_its_record_loses_neither() -> None:
    with a_daemon(FOLDERS, FAKE_CHUNK_SECONDS="1") as daemon:
        done = daemon.inbox / "done"
        done.parent.mkdir(exist_ok=True)
        done.write_text("in the way")
        sources = [dropped(daemon, "a.wav"), dropped(daemon, "b.wav", 880.0)]
        jobs = [daemon.finished(brought(daemon, source))["id"] for source in sources]
        assert all(source.exists() for source in sources)
        daemon.kill()
        done.unlink()
        done.mkdir()
        sources[1].rename(done / "b.wav")
        daemon.start()
        at(daemon, jobs[0], done / "a.wav")
        at(daemon, jobs[1], done / "b.wav")
        assert sorted(path.name for path in done.iterdir()) == ["a.wav", "b.wav"]
        assert not any(source.exists() for source in sources)


def test_a_failed_recording_goes_to_failed_is_retried_from_there_and_goes_on_to_done(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("3")
    with a_daemon(
        FOLDERS,
        FAKE_CHUNK_SECONDS="1",
        WHISPER_BACKEND="fake_engines:CrashTimesTranscriber",
        FAKE_CRASHES=str(crashes),
        STENO_HOOKS_ON_FAILED=hook(tmp_path, "exit 0"),
        STENO_OUTPUT_NAME="{folder}-{stem}.{language}",
    ) as daemon:
        source = dropped(daemon)
        job = at(daemon, brought(daemon, source), daemon.inbox / "failed" / "a.wav")
        assert job["status"] == "failed"
        (call,) = eventually(lambda: calls(tmp_path))
        assert (call["event"], call["job"]["error"]["code"]) == ("failed", "transcriber_crashed")
        daemon.post(f"/v1/jobs/{job['id']}/retry")
        job = at(daemon, job["id"], daemon.inbox / "done" / "a.wav")
        assert job["status"] == "done" and not (daemon.inbox / "failed" / "a.wav").exists()
        assert job["outputs"]["srt"] == str(source.parent / ".unseen-a.en.srt"), "named and placed as it was taken"


def test_a_recording_without_its_words_goes_to_done_and_gets_them_there(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("1000")
    with a_daemon(
        FOLDERS,
        FAKE_CHUNK_SECONDS="1",
        ALIGNMENT_BACKEND="fake_engines:CrashTimesAligner",
        FAKE_CRASHES=str(crashes),
        STENO_RESTARTS_DEATHS_ALLOWED="1",
        STENO_HOOKS_ON_DONE=hook(tmp_path, "exit 0"),
        STENO_HOOKS_ON_DEGRADED=str(tmp_path / "hook"),
    ) as daemon:
        job = at(daemon, brought(daemon, dropped(daemon)), daemon.inbox / "done" / "a.wav")
        assert job["degraded_reason"] == "aligner_unavailable"
        eventually(lambda: {call["event"] for call in calls(tmp_path)} == {"done", "degraded"})
        crashes.write_text("0")
        daemon.post("/v1/workers/aligner/restart")
        eventually(lambda: daemon.job(job["id"])["timing"] == "word", 20)
        assert len(daemon.transcript(job)["word_segments"]) == 8
        eventually(lambda: [call["upgraded"] for call in calls(tmp_path)] == [False, False, True])
        assert calls(tmp_path)[-1]["job"]["degraded_reason"] is None


def test_a_hook_that_fails_is_run_again_until_it_works_and_the_log_says_why(tmp_path: Path) -> None:
    body = f"test $(wc -l < {tmp_path}/paths) -ge 2 || {{ echo no network >&2; exit 3; }}"
    with a_daemon(STENO_HOOKS_ON_DONE=hook(tmp_path, body), FAKE_CHUNK_SECONDS="1") as daemon:
        job = daemon.finished(daemon.submit(wav(daemon.home / "a.wav", noise(1.0))))
        assert job["status"] == "done"
        eventually(lambda: "hook_ran" in daemon.log.read_text())
        assert len(calls(tmp_path)) == 2
        (failure,) = [line for line in daemon.log.read_text().splitlines() if "hook_failed" in line]
        assert "it exited with 3" in failure and "no network" in failure
        assert job["finished_at"] == daemon.job(job["id"])["finished_at"]


def test_hooks_that_hang_delay_no_job_and_no_stop_and_run_again_after_the_next_start(tmp_path: Path) -> None:
    with a_daemon(
        STENO_HOOKS_ON_DONE=hook(tmp_path, "trap '' TERM; sleep 600"),
        STENO_HOOKS_TIMEOUT_SECONDS="600",
        FAKE_CHUNK_SECONDS="1",
    ) as daemon:
        jobs = [daemon.submit(wav(daemon.home / f"{n}.wav", noise(1.0))) for n in range(4)]
        assert [daemon.finished(job_id)["status"] for job_id in jobs] == ["done"] * 4
        eventually(lambda: len(calls(tmp_path)) == 2, what="two at once")
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 9
        daemon.start()
        eventually(lambda: [call["job"]["id"] for call in calls(tmp_path)].count(jobs[0]) == 2)


def test_names_and_words_are_as_the_submit_says_and_times_belong_to_the_new_words() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="1") as daemon:
        recording = wav(daemon.home / "a.wav", noise(6.0))
        answer = daemon.post("/v1/jobs", {"path": str(recording), "options": {"output_name": "{nonsense}"}})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_name_template")
        assert "stem" in answer.json()["hint"]

        plain = daemon.transcript(daemon.finished(daemon.submit(recording)))["text"].split()
        instead = {word: f"{word}ish" for word in plain}
        job = daemon.finished(daemon.submit(recording, replacements=instead, output_name="{name}.{language}"))
        assert Path(job["outputs"]["srt"]).name == "a.wav.en.srt"
        assert job["timing"] == "word"
        transcript = daemon.transcript(job)
        assert [word["word"] for word in transcript["word_segments"]] == [f"{word}ish" for word in plain]
        assert transcript["text"] == " ".join(f"{word}ish" for word in plain)
