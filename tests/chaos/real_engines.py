"""Row 23: the real engines, killed in the middle of their work.

Runs in: the chaos run.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from daemon_under_test import STARTERS, TALK, DaemonUnderTest
from eventually import eventually

from chaos.tally import Tally
from chaos.trial import Trial
from ipc.worker_messages import Role

TITLE = "Real engines"
DEMAND = (
    "20 SIGSEGV and 20 SIGKILL in mid-transcription and in mid-alignment: the transcript of the undisturbed run; 20 "
    "clean exits with code 0"
)
KILLS, EXITS = 20, 20
REAL = {
    **STARTERS,
    "WHISPER_BACKEND": "whisperx",
    "ALIGNMENT_BACKEND": "whisperx",
    "STENO_RESTARTS_DEATHS_ALLOWED": "1000",
}
LOAD_SECONDS, JOB_SECONDS, EXIT_SECONDS = 120.0, 300.0, 30.0
ROLES: tuple[Role, ...] = ("transcriber", "aligner")


def run(trial: Trial) -> Tally:
    """talk.flac again and again; the strike comes at any moment of the role's own work."""
    tally = Tally()
    luck = trial.luck()
    home = trial.folder / "home"
    home.mkdir()
    daemon = DaemonUnderTest(home, REAL)
    daemon.start()
    try:
        for role in ROLES:
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", LOAD_SECONDS)
        began = time.monotonic()
        undisturbed = _texts(daemon, daemon.finished(daemon.submit(_copy(home, "undisturbed")), JOB_SECONDS))
        job_seconds = time.monotonic() - began
        for role in ROLES:
            for how in (signal.SIGSEGV, signal.SIGKILL):
                for number in range(trial.number(KILLS)):
                    case = f"{role}-{how.name}-{number}"
                    wait = luck.uniform(0, job_seconds * (0.6 if role == "transcriber" else 0.2))
                    _killed(daemon, role, how, case, wait, undisturbed, tally)
        for number in range(trial.number(EXITS)):
            role = ROLES[number % len(ROLES)]
            tally.trials += 1
            _clean_exit(daemon, role, tally)
    finally:
        daemon.stop()
    return tally


def _killed(
    daemon: DaemonUnderTest,
    role: Role,
    how: signal.Signals,
    case: str,
    wait: float,
    undisturbed: list[Any],
    tally: Tally,
) -> None:
    for each in ROLES:
        daemon.wait_for_worker(each, lambda worker: worker["state"] == "ready", LOAD_SECONDS)
    job_id = daemon.submit(_copy(daemon.home, case))
    # An aligner is busy for moments only: the strike has to come within one.
    daemon.wait_for_worker(role, lambda worker: worker["state"] == "busy", JOB_SECONDS)
    time.sleep(wait)
    pid = daemon.worker(role)["pid"]
    if daemon.worker(role)["state"] == "busy":
        tally.faults += 1
    os.kill(pid, how)
    struck = time.monotonic()
    daemon.wait_for_worker(
        role, lambda worker: worker["pid"] not in (None, pid) and worker["state"] in ("ready", "busy"), LOAD_SECONDS
    )
    tally.recoveries_seconds.append(time.monotonic() - struck)
    job = daemon.finished(job_id, JOB_SECONDS)
    tally.trials += 1
    if job["status"] != "done":
        tally.lost += 1
        tally.wrong.append(f"{case}: {job['status']}, {job['error']}")
    elif (found := _texts(daemon, job)) != undisturbed:
        tally.changed += 1
        tally.wrong.append(f"{case}: {found} instead of {undisturbed}")


def _clean_exit(daemon: DaemonUnderTest, role: Role, tally: Tally) -> None:
    """Unloaded on request: the worker's last_death stays what it was, for it was none."""
    daemon.submit(_copy(daemon.home, f"exit-{role}-{tally.trials}"))
    eventually(lambda: not daemon.get("/v1/status")["running"], JOB_SECONDS, "the job before the exit is done")
    daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", LOAD_SECONDS)
    before = daemon.worker(role)["last_death"]
    daemon.post(f"/v1/workers/{role}/unload").raise_for_status()
    daemon.wait_for_worker(role, lambda worker: worker["state"] == "unloaded", EXIT_SECONDS)
    after = daemon.worker(role)["last_death"]
    tally.expect(after == before, f"{role}: a clean exit counts as a death: {after}")


def _copy(home: Path, name: str) -> Path:
    return Path(shutil.copy(TALK, home / f"{name}.flac"))


def _texts(daemon: DaemonUnderTest, job: dict[str, Any]) -> list[Any]:
    """Text and words; times may differ by what a batch's neighbours do to rounding."""
    transcript = json.loads(Path(job["outputs"]["json"]).read_bytes())
    return [(segment["text"], [word["word"] for word in segment["words"]]) for segment in transcript["segments"]]
