"""Rows 6, 8 and 9: what the daemon itself costs, with 10,000 jobs in the queue, and after a crash.

Runs in: the benchmark. Each has a program of its own that measures it; here it is asked once a run.
"""

import shutil
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.course import Course
from benchmarks.daemon import crowded_queue, restart, supervision
from benchmarks.figures import Demand, Section, Series, ratio

SUPERVISION_TITLE = "What supervision costs"
QUEUE_TITLE = "10,000 waiting jobs, both workers busy"
RESTART_TITLE = "From SIGSEGV to ready again"
SUPERVISED_SECONDS = 300.0
SUBMIT_P99_MS, STATUS_P99_MS, START_SECONDS, IDLE_PERCENT = 10, 20, 2, 0.2
EXTRA_SECONDS = 0.3


def supervised(course: Course) -> Section:
    """Row 6."""
    seconds = SUPERVISED_SECONDS / course.shrink
    found = supervision.measure(words=False, seconds=seconds, runs=course.runs)
    ours, bare = (tuple(cost.wall_seconds for cost in costs) for costs in (found.supervised, found.bare))
    our_cpu, bare_cpu = (tuple(cost.cpu_seconds for cost in costs) for costs in (found.supervised, found.bare))
    return Section(
        title=SUPERVISION_TITLE,
        setting=f"{seconds / 60:.0f} minutes of talk.flac over and over again, without words: the daemon, from the "
        "job's start to its files, and a script that makes the same calls; one thread each, tiny.en in int8.",
        series=(
            Series("supervised", "s", ours),
            Series("bare script", "s", bare),
            Series("supervised, processor time", "s", our_cpu),
            Series("bare script, processor time", "s", bare_cpu),
            Series("of it the supervisor's own", "s", found.supervisor_cpu_seconds),
        ),
        demands=(Demand("slower than the script", 100 * (ratio(ours, bare) - 1), "≤", 3, "%"),),
    )


def crowded(course: Course) -> Section:
    """Row 8."""
    # A socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="steno-crowd-", dir="/tmp"))
    found = []
    try:
        for run in range(course.runs):
            course.say(f"  run {run + 1} of {course.runs}: {crowded_queue.JOBS} jobs")
            found.append(crowded_queue.measure(home, runs=1))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    submit_p99, status_p99 = (tuple(one.submit.p99_ms for one in found), tuple(one.status.p99_ms for one in found))
    start, idle = tuple(one.start_seconds for one in found), tuple(100 * one.idle_share for one in found)
    return Section(
        title=QUEUE_TITLE,
        setting="Over the socket, one client that waits for each answer, while two workers keep a core busy each; "
        "then a start with all the jobs in the database, and half a minute of rest with the queue paused.",
        series=(
            Series("submit, p50", "ms", tuple(one.submit.p50_ms for one in found)),
            Series("submit, p99", "ms", submit_p99),
            Series(
                "submit over a new connection each, p99",
                "ms",
                tuple(one.submit_each_on_its_own.p99_ms for one in found),
            ),
            Series("status, p50", "ms", tuple(one.status.p50_ms for one in found)),
            Series("status, p99", "ms", status_p99),
            Series("start-up to the first answer", "s", start),
            Series("idle supervisor, of a core", "%", idle),
        ),
        demands=(
            Demand("submit, p99", median(submit_p99), "≤", SUBMIT_P99_MS, "ms"),
            Demand("status, p99", median(status_p99), "≤", STATUS_P99_MS, "ms"),
            Demand("start-up", median(start), "≤", START_SECONDS, "s"),
            Demand("idle supervisor", median(idle), "≤", IDLE_PERCENT, "%"),
        ),
    )


def restarted(course: Course) -> Section:
    """Row 9."""
    series: list[Series] = []
    demands = []
    for role, engine in restart.CASES:
        found = []
        for run in range(course.runs):
            course.say(f"  run {run + 1} of {course.runs}: {engine} {role}")
            found.append(restart.measure(role, engine, runs=1))
        away = tuple(one.restarted.wall_seconds for one in found)
        bare = tuple(one.bare.wall_seconds for one in found)
        series += (Series(f"{engine} {role}, SIGSEGV to ready", "s", away), Series("its bare load", "s", bare))
        demands.append(Demand(f"{engine} {role}, longer", median(away) - median(bare), "≤", EXTRA_SECONDS, "s"))
    return Section(
        title=RESTART_TITLE,
        setting="A ready worker is killed; until the daemon's clients hear that the next one is ready. Beside it a "
        "fresh Python that imports the engine and loads the same model: the starters, one thread.",
        series=tuple(series),
        demands=tuple(demands),
    )
