"""Row 8: what hangs is found, what is only slow is left alone, and a machine that slept is no reason to kill.

Runs in: the chaos run.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from eventually import eventually

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, pids_of
from chaos.daemon.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, unfinished
from supervisor.system.deadline import OVERSLEPT_SECONDS

TITLE = "Hung or slow"
DEMAND = (
    "20 of 20 hangs found within the deadline and 2 s; 0 of 1,000 slow jobs killed; after a sleep of 30 s no worker "
    "killed"
)
HANGS, SLOW, SLEEP_SECONDS = 20, 1_000, 30.0
PROGRESS_SECONDS, PROGRESS_AT_A_LOOK_SECONDS = 2.0, 4.0
"""The deadline for progress. A look is taken while other things run, and a worker is the last to get a core."""
FOUND_SECONDS, FOUND_AT_A_LOOK_SECONDS = 2.0, 20.0
"""After the deadline."""
BACKENDS = {"transcriber": "WHISPER_BACKEND", "aligner": "ALIGNMENT_BACKEND"}
WAYS = {
    "in native code": ("transcriber", "NativeHangTranscriber"),
    "in Python": ("transcriber", "PythonHangTranscriber"),
    "stopped": ("transcriber", "StoppedTranscriber"),
    "in native code, aligning": ("aligner", "NativeHangAligner"),
    "stopped, aligning": ("aligner", "StoppedAligner"),
}
"""How → whose engine."""
SLOW_SECONDS = 0.8
"""For each chunk and each segment: 40 % of what a hang may take."""
SLOW_DAEMONS, SLOW_A_DAEMON = 6, 12
"""Slow work is waiting: many can do it side by side."""
MORE_THAN_LATE_SECONDS = OVERSLEPT_SECONDS + 1.0
START_SECONDS = 300.0
"""For all daemons together: while others start, a worker that is well may wait longer than one that hangs may."""


def run(trial: Trial) -> Tally:
    """All parts side by side: most of it is waiting."""
    (trial.folder / "recordings").mkdir()
    luck = trial.luck()
    hangs = trial.number(HANGS)
    ways = [luck.sample(list(WAYS), len(WAYS))[number % len(WAYS)] for number in range(hangs)]
    slow = trial.number(SLOW)
    daemons = min(SLOW_DAEMONS, max(1, slow // SLOW_A_DAEMON))
    all_ready = threading.Barrier(1 + len(set(ways)) + daemons, timeout=START_SECONDS)
    parts = [partial(_asleep, trial, all_ready)]
    parts += [partial(_hangs, trial, all_ready, way, ways.count(way)) for way in sorted(set(ways))]
    parts += [partial(_slow, trial, all_ready, number, range(slow)[number::daemons]) for number in range(daemons)]
    tally = Tally()
    with ThreadPoolExecutor(len(parts)) as threads:
        for one in threads.map(_run, parts):
            tally.trials += one.trials
            tally.faults += one.faults
            tally.changed += one.changed
            tally.wrong += one.wrong
            tally.recoveries_seconds += one.recoveries_seconds
            tally.figures |= one.figures
    tally.figures["slow jobs"] = f"{slow}, {SLOW_SECONDS / _progress_seconds(trial):.0%} of the deadline each step"
    return tally


def _run(part: Callable[[], Tally]) -> Tally:
    return part()


def _progress_seconds(trial: Trial) -> float:
    return PROGRESS_SECONDS if trial.share >= 1 else PROGRESS_AT_A_LOOK_SECONDS


def _ready(daemon: BrokenDaemon, all_ready: threading.Barrier) -> dict[str, int]:
    """Role → pid of its workers, once those of all daemons are there."""
    for role in BACKENDS:
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", START_SECONDS)
    all_ready.wait()
    return pids_of(daemon)


def _hangs(trial: Trial, all_ready: threading.Barrier, way: str, count: int) -> Tally:
    """From the moment at which the engine says that it hangs to the one that the job's story gives."""
    tally = Tally()
    role, engine = WAYS[way]
    folder = trial.folder / engine
    folder.mkdir()
    hangs = folder / "hangs"
    after_seconds = FOUND_SECONDS if trial.share >= 1 else FOUND_AT_A_LOOK_SECONDS
    longest_seconds = _progress_seconds(trial) + after_seconds
    with broken_daemon(
        folder / "home",
        **{BACKENDS[role]: f"chaos.daemon.stub_engines:{engine}"},
        STUB_HANGS=str(hangs),
        STENO_CRASHES_TRANSCRIBER_CRASHES_ALLOWED="0",
        STENO_CRASHES_ALIGNER_RESTARTS_ALLOWED="0",
        STENO_DEADLINES_PROGRESS_SECONDS=str(_progress_seconds(trial)),
    ) as daemon:
        _ready(daemon, all_ready)
        for number in range(count):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready", START_SECONDS)
            one = make(folder / f"{number}.wav", number)
            job = daemon.finished(daemon.submit(one.path))
            began = [float(line) for line in hangs.read_text().splitlines()]
            tally.trials += 1
            tally.faults += len(began) - number
            story = [attempt for attempt in job["attempts"] if attempt["role"] == role]
            if not tally.expect([attempt["outcome"] for attempt in story] == ["timeout"], f"hung {way}: {story}"):
                continue
            seconds = datetime.fromisoformat(story[0]["at"]).timestamp() - began[-1]
            tally.recoveries_seconds.append(seconds)
            tally.expect(seconds < longest_seconds, f"hung {way}: found after {seconds:.1f} s")
            ending = (job["error"] or {}).get("code") if role == "transcriber" else job["degraded_reason"]
            tally.expect(ending == f"{role}_timeout", f"hung {way}: the job says {ending}")
    return tally


def _slow(trial: Trial, all_ready: threading.Barrier, daemon_number: int, numbers: range) -> Tally:
    """Jobs each of whose steps takes long, and none too long."""
    tally = Tally()
    folder = trial.folder / f"slow{daemon_number}"
    folder.mkdir()
    made = [make(folder / f"{number}.wav", number, chunks=1) for number in numbers]
    with broken_daemon(
        folder / "home",
        STUB_PACE=str(SLOW_SECONDS),
        STENO_DEADLINES_PROGRESS_SECONDS=str(_progress_seconds(trial)),
    ) as daemon:
        before = _ready(daemon, all_ready)
        ids = [daemon.submit(one.path) for one in made]
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all slow jobs end")
        tally.expect(pids_of(daemon) == before, f"a slow worker was replaced: {before} became {pids_of(daemon)}")
        jobs = {job["id"]: job for job in daemon.jobs()}
    for job_id, one in zip(ids, made, strict=True):
        tally.trials += 1
        if complaint := complaint_about_files(one, jobs[job_id]):
            tally.changed += 1
            tally.wrong.append(complaint)
        outcomes = {attempt["outcome"] for attempt in jobs[job_id]["attempts"]}
        tally.expect(outcomes == {"done"}, f"the slow job {job_id} was charged: {outcomes}")
    return tally


def _asleep(trial: Trial, all_ready: threading.Barrier) -> Tally:
    """The supervisor stands still, as on a machine that sleeps; its workers have said what they had to say."""
    tally = Tally(trials=1, faults=1)
    progress_seconds = _progress_seconds(trial)
    with broken_daemon(
        trial.folder / "asleep", STUB_PACE="0.2", STENO_DEADLINES_PROGRESS_SECONDS=str(progress_seconds)
    ) as daemon:
        one = make(trial.folder / "recordings" / "asleep.wav", 7, chunks=40)
        before = _ready(daemon, all_ready)
        job_id = daemon.submit(one.path)
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            time.sleep(max(progress_seconds + MORE_THAN_LATE_SECONDS, SLEEP_SECONDS * trial.share))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        job = daemon.finished(job_id)
        if complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(complaint)
        tally.expect(pids_of(daemon) == before, f"a sleep cost a worker: {before} became {pids_of(daemon)}")
    return tally
