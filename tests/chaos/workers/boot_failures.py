"""Row 9: a worker that cannot start. It is tried again, ever less often, and is back once the cause is gone.

Runs in: the chaos run.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from daemon_under_test import DaemonUnderTest
from eventually import eventually

from chaos.daemon.broken_daemon import STUBS
from chaos.daemon.oracle import CHUNK_SECONDS, Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Workers that cannot start"
DEMAND = (
    "dies at import, dies or hangs while loading, wrong model: at most 8 starts in 60 s, less than 5 % of a core, "
    "the state says so, and healed within 60 s of the cure"
)
WATCH_SECONDS, MOST_STARTS, MOST_CPU_SHARE = 60.0, 8, 0.05
HEAL_SECONDS = 60.0
LEAST_WATCH_SECONDS = 5.0
ROOM_SECONDS = 60.0
"""At a look, for a machine that does other things."""


@dataclass(frozen=True, slots=True)
class Way:
    """How it cannot start."""

    engine: str
    environment: Mapping[str, str] = field(default_factory=dict)


WAYS: Mapping[str, Way] = {
    "dies at import": Way("chaos.daemon.stillborn_engine:StubTranscriber"),
    "dies while loading": Way("chaos.daemon.stub_engines:MoodyTranscriber"),
    "hangs while loading": Way("chaos.daemon.stub_engines:StuckTranscriber", {"STENO_DEADLINES_BOOT_SECONDS": "8"}),
    "wrong model": Way("chaos.daemon.stub_engines:UnknownModelTranscriber"),
}


def run(trial: Trial) -> Tally:
    """With the settings that users have, but for a boot deadline of 8 s, which is 120 s in the field. At a look all
    that is timed is as much shorter as the look is."""
    tally = Tally()
    with ThreadPoolExecutor(len(WAYS)) as threads:
        futures = {way: threads.submit(_way, trial, way) for way in WAYS}
    for way, future in futures.items():
        one = future.result()
        tally.trials += one.trials
        tally.faults += one.faults
        tally.changed += one.changed
        tally.wrong += [f"{way}: {sentence}" for sentence in one.wrong]
        tally.recoveries_seconds += one.recoveries_seconds
        tally.figures |= {f"{way}, {what}": figure for what, figure in one.figures.items()}
    return tally


def _way(trial: Trial, name: str) -> Tally:
    way = WAYS[name]
    watch_seconds = max(LEAST_WATCH_SECONDS, WATCH_SECONDS * trial.share)
    folder = trial.folder / name.replace(" ", "-")
    folder.mkdir()
    down = folder / "down"
    down.touch()
    environment = {
        **STUBS,
        "WHISPER_BACKEND": way.engine,
        "STUB_DOWN": str(down),
        "FAKE_CHUNK_SECONDS": str(CHUNK_SECONDS),
        "STENO_RESTARTS_FIRST_DELAY_SECONDS": "0.25",
        **way.environment,
    }
    if trial.share < 1:
        environment["STENO_RESTARTS_PROBE_SECONDS"] = str(watch_seconds)
    daemon = DaemonUnderTest(folder, environment)
    try:
        daemon.start()
        one = make(folder / "recording.wav", trial.luck(name).randrange(1 << 30))
        return _watched_and_healed(daemon, one, down, watch_seconds, trial)
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()


def _watched_and_healed(daemon: DaemonUnderTest, one: Made, down: Path, watch_seconds: float, trial: Trial) -> Tally:
    tally = Tally(trials=1)
    # One that hangs needs the better part of a minute to be given up: too long for a look.
    waits_for_broken = trial.share < 1 and "STENO_DEADLINES_BOOT_SECONDS" not in daemon.environment
    job_id = daemon.submit(one.path)
    before = _cpu_seconds(daemon.pid)
    began = time.monotonic()
    if waits_for_broken:
        eventually(lambda: daemon.worker("transcriber")["state"] == "broken", ROOM_SECONDS, "it is given up")
    time.sleep(max(0.0, began + watch_seconds - time.monotonic()))
    watch_seconds = time.monotonic() - began
    own_seconds, with_children_seconds = (
        after - earlier for after, earlier in zip(_cpu_seconds(daemon.pid), before, strict=True)
    )
    starts = sum("worker_started" in line and "transcriber" in line for line in daemon.log.read_text().splitlines())
    tally.faults = starts
    tally.expect(0 < starts <= MOST_STARTS, f"{starts} starts in {watch_seconds:.0f} s")
    tally.figures["starts"] = f"{starts} in {watch_seconds:.0f} s"
    tally.figures["CPU"] = (
        f"{own_seconds / watch_seconds:.1%}; with its workers {with_children_seconds / watch_seconds:.1%}"
    )
    if trial.share >= 1:
        share = own_seconds / watch_seconds
        tally.expect(share < MOST_CPU_SHARE, f"the supervisor took {share:.1%} of a core")
    worker = daemon.worker("transcriber")
    states = ("broken",) if waits_for_broken or trial.share >= 1 else ("broken", "starting", "backing_off")
    tally.expect(worker["state"] in states, f"the worker is {worker['state']}")
    tally.expect(worker["note"] or worker["last_death"] or worker["state"] == "starting", "nobody says why")
    job = daemon.job(job_id)
    tally.expect(
        job["status"] == "waiting" and (job["note"] or trial.share < 1), f"the job is {job['status']}, {job['note']}"
    )
    down.unlink()
    cured = time.monotonic()
    heal_seconds = HEAL_SECONDS + (0.0 if trial.share >= 1 else ROOM_SECONDS)
    eventually(lambda: daemon.worker("transcriber")["state"] in ("ready", "busy"), 2 * HEAL_SECONDS, "it is healed")
    seconds = time.monotonic() - cured
    tally.recoveries_seconds.append(seconds)
    tally.expect(seconds < heal_seconds, f"healed {seconds:.0f} s after the cure")
    if complaint := complaint_about_files(one, daemon.finished(job_id)):
        tally.changed += 1
        tally.wrong.append(complaint)
    return tally


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Of the supervisor itself, and with all workers that it has reaped."""
    times = psutil.Process(pid).cpu_times()
    own = times.user + times.system
    return own, own + times.children_user + times.children_system
