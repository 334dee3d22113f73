"""Row 20: a year's work in minutes, and what it leaves behind in memory, descriptors and on the disk.

Runs in: the chaos run.
"""

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, descriptors_of
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.simulation import day as virtual_day
from chaos.tally import Tally, slope_of
from chaos.trial import Trial

TITLE = "A long run"
DEMAND = (
    "20,000 jobs, 1 % faults: the supervisor grows by less than 1 MB per 10,000, no descriptor, WAL below 8 MB; 24 "
    "hours of timers on a virtual clock in less than 60 s"
)
JOBS, LAP_JOBS, ROUND_JOBS = 20_000, 1_000, 100
"""A fault a round, so that no job is hit by three and quarantined, as the policy says."""
GROWTH_BYTES, LOG_BYTES = 1_000_000, 8_000_000
WARM_SHARE = 0.2
"""What a process takes in its first fifth is not growth: buffers, caches, the allocator's first arenas."""
JUDGED_FROM_JOBS = 15_000
"""In less, that first fifth is all there is."""
JOB_SECONDS = 300.0
SILENCE_SECONDS = 60.0
"""Streams of events have a heartbeat."""


@dataclass(frozen=True, slots=True)
class Look:
    """At the supervisor while nothing is to do, after so many jobs."""

    jobs: int
    rss_bytes: int
    descriptors: int
    log_bytes: int


def run(trial: Trial) -> Tally:
    """In laps; each ends when all its jobs are done, every result is checked, and the recordings are taken away."""
    tally = Tally()
    luck = trial.luck()
    looks: list[Look] = []
    laps = [LAP_JOBS] * (trial.number(JOBS) // LAP_JOBS) or [trial.number(JOBS)]
    with broken_daemon(trial.folder / "home", STENO_DEADLINES_PROGRESS_SECONDS="60") as daemon:
        for number, jobs in enumerate(laps):
            _lap(daemon, trial.folder / f"lap{number}", jobs, luck, tally)
            looks.append(_look(daemon, tally.trials))
            trial.say(f"  {looks[-1]}")
        database = (daemon.home / "state" / "jobs.sqlite3").stat().st_size
    _judge(looks, tally)
    tally.figures["database"] = f"{database / 1e6:.1f} MB"
    virtual_day.run(trial, tally)
    return tally


def _lap(daemon: BrokenDaemon, folder: Path, jobs: int, luck: random.Random, tally: Tally) -> None:
    """A round is handed over while the one before it is at work: there is always something to do.

    A fault is laid when the round is over that the last one struck: two on the same job would cost it its words, as
    the policy says.
    """
    before: dict[int, Made] = {}
    trap: Path | None = None
    for first in range(0, jobs, ROUND_JOBS):
        here = folder / str(first)
        here.mkdir(parents=True)
        numbers = range(first, min(first + ROUND_JOBS, jobs))
        with daemon.client() as client:
            recordings = [make(here / f"{number}.wav", luck.randrange(1 << 30), chunks=1) for number in numbers]
            made = {_submit(client, one.path): one for one in recordings}
        _check(daemon, before, tally)
        if trap is None or not trap.exists():
            role, how = luck.choice(("transcriber", "aligner")), luck.choice(("segv", "kill"))
            trap = daemon.arm(role, "request_begun", how)
            tally.faults += 1
        before = made
    _check(daemon, before, tally)
    tally.faults -= trap is not None and trap.exists()
    daemon.disarm()
    shutil.rmtree(folder)


def _submit(client: httpx.Client, recording: Path) -> int:
    answer = client.post("/v1/jobs", json={"path": str(recording), "options": {}})
    return int(answer.raise_for_status().json()["id"])


def _check(daemon: BrokenDaemon, made: Mapping[int, Made], tally: Tally) -> None:
    if made:
        _until_over(daemon, max(made))
    listed: list[dict[str, Any]] = daemon.get("/v1/jobs", limit=2 * ROUND_JOBS)
    jobs = {job["id"]: job for job in listed if job["status"] == "done"}
    for job_id, one in made.items():
        tally.trials += 1
        job = jobs.get(job_id) or daemon.finished(job_id, JOB_SECONDS)
        if job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"job {job_id} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(f"{complaint} ({job['degraded_reason']})")


def _until_over(daemon: BrokenDaemon, job_id: int) -> None:
    """Told so by the daemon: to ask it again and again would be a good part of its work."""
    with (
        daemon.client() as client,
        client.stream("GET", f"/v1/jobs/{job_id}/events", timeout=SILENCE_SECONDS) as story,
    ):
        for _ in story.iter_lines():
            pass


def _look(daemon: BrokenDaemon, jobs: int) -> Look:
    log = daemon.home / "state" / "jobs.sqlite3-wal"
    return Look(jobs, psutil.Process(daemon.pid).memory_info().rss, descriptors_of(daemon.pid), log.stat().st_size)


def _judge(looks: Sequence[Look], tally: Tally) -> None:
    warm = looks[int(len(looks) * WARM_SHARE) :]
    slope = slope_of([(look.jobs, look.rss_bytes) for look in warm]) * 10_000
    tally.figures = {
        "growth per 10,000 jobs": f"{slope / 1e6:.2f} MB",
        "descriptors, first and last": f"{warm[0].descriptors} and {warm[-1].descriptors}",
        "largest log": f"{max(look.log_bytes for look in looks) / 1e6:.1f} MB",
        "supervisor at the end": f"{looks[-1].rss_bytes / 1e6:.1f} MB",
    }
    if looks[-1].jobs >= JUDGED_FROM_JOBS:
        tally.expect(slope < GROWTH_BYTES, f"the supervisor grows by {slope / 1e6:.2f} MB per 10,000 jobs")
    tally.expect(warm[-1].descriptors <= warm[0].descriptors, "descriptors leak")
    tally.expect(max(look.log_bytes for look in looks) < LOG_BYTES, "the log grows")
