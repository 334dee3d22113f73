"""Row 23: the real engines, killed in the middle of their work.

Runs in: the chaos run.
"""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from daemon_under_test import STARTERS, DaemonUnderTest
from eventually import eventually
from recordings import MEMO, TALK, silence, voice, wav

from chaos.tally import Tally
from chaos.trial import Trial
from ipc.vocabulary import Role

TITLE = "Real engines"
DEMAND = (
    "20 SIGSEGV and 20 SIGKILL in mid-transcription and in mid-alignment: the transcript of the undisturbed run, "
    "character by character, every time and score the same; 20 clean exits with code 0"
)
KILLS, EXITS = 20, 20
REAL = {
    **STARTERS,
    "WHISPER_BACKEND": "whisperx",
    "ALIGNMENT_BACKEND": "whisperx",
    "STENO_RESTARTS_DEATHS_ALLOWED": "1000",
    "STENO_RESTARTS_LONGEST_DELAY_SECONDS": "0.05",
}
LOAD_SECONDS, JOB_SECONDS, EXIT_SECONDS = 120.0, 300.0, 30.0
RECORDING = "speech.wav"
ROLES: tuple[Role, ...] = ("transcriber", "aligner")
SPARE_JOBS = 12
"""A strike that comes when the work has just ended does not count; the job is done over, so often at most."""
WHILE_TRANSCRIBED = 0.35
"""Of the time that a job takes: later its transcriber may be done."""
PAUSES_SECONDS = (0.4, 4.0, 1.0)
"""Between the voices of the recording: batches of several chunks, and what is left of them after a death."""


def run(trial: Trial) -> Tally:
    """Two minutes of speech again and again; each time both workers are struck at any moment of their own work."""
    tally = Tally()
    luck = trial.luck()
    home = trial.folder / "home"
    home.mkdir()
    _record(home / RECORDING)
    daemon = DaemonUnderTest(home, REAL)
    try:
        daemon.start()
        _both_are_ready(daemon)
        daemon.finished(daemon.submit(_copy(home, "first")), JOB_SECONDS)  # pays for what is done once
        began = time.monotonic()
        undisturbed = _segments(daemon.finished(daemon.submit(_copy(home, "undisturbed")), JOB_SECONDS))
        work_seconds = time.monotonic() - began
        for how in (signal.SIGSEGV, signal.SIGKILL):
            left = dict.fromkeys(ROLES, trial.number(KILLS))
            for number in range(trial.number(KILLS) + SPARE_JOBS):
                if any(left.values()):
                    struck = [role for role in ROLES if left[role]]
                    job = _struck(daemon, struck, how, f"{how.name}-{number}", work_seconds, luck, tally)
                    for role in _hit(job, how):
                        left[role] -= 1
                        tally.faults += 1
                    _judge(job, undisturbed, tally)
            tally.expect(not any(left.values()), f"{how.name} came too late: {left} are missing")
        _leave_cleanly(daemon, trial.number(EXITS, least=2) // 2, tally)
    finally:
        daemon.stop()
    tally.trials += tally.faults
    tally.figures["an undisturbed job"] = f"{work_seconds:.1f} s"
    return tally


def _struck(
    daemon: DaemonUnderTest,
    roles: Sequence[Role],
    how: signal.Signals,
    name: str,
    work_seconds: float,
    luck: random.Random,
    tally: Tally,
) -> dict[str, Any]:
    """A job that loses both its workers, one after the other; as it is when it is over."""
    _both_are_ready(daemon)
    job_id = daemon.submit(_copy(daemon.home, name))
    for role in roles:
        eventually(partial(_is_at_work, daemon, role, job_id), JOB_SECONDS, f"the {role} works on {name}")
        # An aligner is busy for moments only.
        time.sleep(luck.uniform(0, work_seconds * WHILE_TRANSCRIBED if role == "transcriber" else 0.02))
        if (pid := daemon.worker(role)["pid"]) is None:
            continue
        os.kill(pid, how)
        died = time.monotonic()
        eventually(partial(_is_back, daemon, role, pid), LOAD_SECONDS, f"the {role} is back")
        tally.recoveries_seconds.append(time.monotonic() - died)
    return daemon.finished(job_id, JOB_SECONDS)


def _is_at_work(daemon: DaemonUnderTest, role: Role, job_id: int) -> bool:
    """Or it has been, which is found out by the job's story."""
    status = daemon.get("/v1/status")
    (worker,) = [worker for worker in status["workers"] if worker["role"] == role]
    return worker["state"] == "busy" or all(running["id"] != job_id for running in status["running"])


def _is_back(daemon: DaemonUnderTest, role: Role, gone: int) -> bool:
    worker = daemon.worker(role)
    return worker["pid"] not in (None, gone) and worker["state"] in ("ready", "busy")


def _hit(job: dict[str, Any], how: signal.Signals) -> set[Role]:
    """Whose death the job itself tells of: they held its request."""
    return {attempt["role"] for attempt in job["attempts"] if attempt["signal"] == how.name}


def _judge(job: dict[str, Any], undisturbed: Sequence[dict[str, Any]], tally: Tally) -> None:
    name = Path(job["path"]).stem
    if job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"{name}: {job['status']}, {job['error']}")
        return
    found = _segments(job)
    if _words(found) != _words(undisturbed):
        tally.changed += 1
        tally.wrong.append(f"{name}: {_words(found)} instead of {_words(undisturbed)}")
    elif found != undisturbed:
        tally.changed += 1
        apart = [(one, other) for one, other in zip(found, undisturbed, strict=True) if one != other]
        tally.wrong.append(f"{name}: the words are the same, but {apart[0][0]} was {apart[0][1]}")


def _leave_cleanly(daemon: DaemonUnderTest, times: int, tally: Tally) -> None:
    """Both are asked to leave after a job; their exit codes are in the log."""
    for number in range(times):
        daemon.finished(daemon.submit(_copy(daemon.home, f"exit-{number}")), JOB_SECONDS)
        _both_are_ready(daemon)
        for role in ROLES:
            daemon.post(f"/v1/workers/{role}/unload").raise_for_status()
        for role in ROLES:
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "unloaded", EXIT_SECONDS)
    wanted = len(ROLES) * times
    codes = eventually(lambda: _enough(_exit_codes(daemon), wanted), EXIT_SECONDS, "the log tells of the exits")
    tally.trials += wanted
    tally.expect(codes == [0] * wanted, f"exit codes {codes} of {wanted} clean exits")


def _exit_codes(daemon: DaemonUnderTest) -> list[int | None]:
    events = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    return [event["exit_code"] for event in events if event["event"] == "worker_left"]


def _enough(codes: list[int | None], wanted: int) -> list[int | None] | None:
    return codes if len(codes) >= wanted else None


def _both_are_ready(daemon: DaemonUnderTest) -> None:
    for role in ROLES:
        if daemon.worker(role)["state"] == "unloaded":
            daemon.post(f"/v1/workers/{role}/restart").raise_for_status()
    for role in ROLES:
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", LOAD_SECONDS)


def _record(path: Path) -> None:
    talk, memo = voice(TALK), voice(MEMO)
    pauses = [silence(seconds) for seconds in PAUSES_SECONDS]
    wav(path, np.concatenate([talk, pauses[0], memo, pauses[1], memo // 20, pauses[2], talk]))


def _copy(home: Path, name: str) -> Path:
    return Path(shutil.copy(home / RECORDING, home / f"{name}.wav"))


def _segments(job: dict[str, Any]) -> list[dict[str, Any]]:
    segments: list[dict[str, Any]] = json.loads(Path(job["outputs"]["json"]).read_bytes())["segments"]
    return segments


def _words(segments: Sequence[dict[str, Any]]) -> list[Any]:
    return [(segment["text"], [word["word"] for word in segment["words"]]) for segment in segments]
