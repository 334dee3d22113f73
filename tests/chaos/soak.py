"""Row 20: a year's work in minutes, and what it leaves behind in memory, descriptors and on the disk.

Runs in: the chaos run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from eventually import eventually

from chaos.broken_daemon import BrokenDaemon, broken_daemon, descriptors_of
from chaos.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.worker_chaos import DRAIN_SECONDS, unfinished

TITLE = "A long run"
DEMAND = "20,000 jobs, 1 % faults: the supervisor grows by less than 1 MB per 10,000, no descriptor, WAL below 8 MB"
JOBS, ROUND_JOBS, FAULT_SHARE = 20_000, 250, 0.01
GROWTH_BYTES, LOG_BYTES = 1_000_000, 8_000_000
WARM_SHARE = 0.2
"""What a process takes in its first fifth is not growth: buffers, caches, the allocator's first arenas."""


@dataclass(frozen=True, slots=True)
class Look:
    """At the supervisor, after so many jobs."""

    jobs: int
    rss_bytes: int
    descriptors: int
    log_bytes: int


def run(trial: Trial) -> Tally:
    """In rounds; each hands over, waits, checks every result, looks, and takes its recordings away."""
    tally = Tally()
    luck = trial.luck()
    looks: list[Look] = []
    rounds = trial.number(JOBS // ROUND_JOBS, least=4)
    with broken_daemon(trial.folder / "home") as daemon:
        for number in range(rounds):
            folder = trial.folder / f"round{number}"
            folder.mkdir()
            made = [make(folder / f"{n}.wav", luck.randrange(1 << 30), chunks=1) for n in range(ROUND_JOBS)]
            ids = [daemon.submit(one.path) for one in made]
            for _ in range(max(1, round(ROUND_JOBS * FAULT_SHARE))):
                role = luck.choice(("transcriber", "aligner"))
                daemon.arm(role, "request_begun", luck.choice(("segv", "kill")))
                tally.faults += 1
            eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "a round ends")
            daemon.disarm()
            for job_id, one in zip(ids, made, strict=True):
                tally.trials += 1
                if complaint := complaint_about_files(one, daemon.job(job_id)):
                    tally.changed += 1
                    tally.wrong.append(complaint)
            looks.append(_look(daemon, tally.trials))
    _judge(looks, tally)
    return tally


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
    tally.expect(slope < GROWTH_BYTES, f"the supervisor grows by {slope / 1e6:.2f} MB per 10,000 jobs")
    tally.expect(warm[-1].descriptors <= warm[0].descriptors, "descriptors leak")
    tally.expect(max(look.log_bytes for look in looks) < LOG_BYTES, "the log grows")


def slope_of(points: Sequence[tuple[float, float]]) -> float:
    """Least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
