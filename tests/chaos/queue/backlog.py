"""Row 18: more jobs wait than anybody hands over in a year.

Runs in: the chaos run.
"""

import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import quantiles

from daemon_under_test import DaemonUnderTest

from chaos.daemon.broken_daemon import STUBS
from chaos.tally import Tally
from chaos.trial import Trial
from supervisor.store import claims as line_rows
from supervisor.store.schedule import SchedulingHints

TITLE = "A backlog"
DEMAND = (
    "10,000 handed over within 30 s; started again within 2 s; a claim within 5 ms (p99) and by the index; "
    "the database stays below 50 MB"
)
JOBS, CLIENTS, CLAIMS = 10_000, 4, 500
SUBMIT_SECONDS, START_SECONDS, CLAIM_SECONDS, DATABASE_BYTES = 30.0, 2.0, 0.005, 50_000_000
"""Seconds are judged where all of it is run, and nothing else beside."""


def run(trial: Trial) -> Tally:
    """In a paused queue, by a few clients at once."""
    tally = Tally(trials=trial.number(JOBS))
    recordings, home = trial.folder / "recordings", trial.folder / "home"
    for folder in (recordings, home):
        folder.mkdir()
    paths = [recordings / f"{number}.wav" for number in range(tally.trials)]
    for number, path in enumerate(paths):
        path.write_bytes(b"RIFF%d" % number)
    daemon = DaemonUnderTest(home, STUBS)
    try:
        daemon.start()
        daemon.post("/v1/queue/pause")
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            for handed_over in [clients.submit(_hand_over, daemon, paths[n::CLIENTS]) for n in range(CLIENTS)]:
                handed_over.result()
        submitted = time.monotonic() - began
        database = daemon.home / "state" / "jobs.sqlite3"
        size = sum(file.stat().st_size for file in database.parent.glob("jobs.sqlite3*"))
        daemon.kill()
        tally.faults += 1
        began = time.monotonic()
        daemon.start()
        started = time.monotonic() - began
        waiting = daemon.get("/v1/status")["queue"]["waiting"]
        tally.lost = tally.trials - waiting
    finally:
        daemon.stop()
    claims = _claims(database, tally)
    tally.recoveries_seconds.append(started)
    tally.figures = {
        "handed over in": f"{submitted:.1f} s",
        "started in": f"{started:.2f} s",
        "claimed in (p50, p99, without the sync)": f"{1000 * claims[49]:.2f} ms, {1000 * claims[98]:.2f} ms",
        "files": f"{size:,} bytes",
    }
    tally.expect(size < DATABASE_BYTES, f"the database has {size:,} bytes")
    if trial.share >= 1:
        tally.expect(submitted < SUBMIT_SECONDS, f"handing over took {submitted:.1f} s")
        tally.expect(started < START_SECONDS, f"the start took {started:.2f} s")
        tally.expect(claims[98] < CLAIM_SECONDS, f"a claim took {1000 * claims[98]:.1f} ms")
    return tally


def _hand_over(daemon: DaemonUnderTest, paths: Sequence[Path]) -> None:
    with daemon.client() as client:
        for path in paths:
            client.post("/v1/jobs", json={"path": str(path)}).raise_for_status()


def _claims(database: Path, tally: Tally) -> list[float]:
    """Percentiles of the seconds that a claim keeps the one connection; each of its statements goes by an index."""
    seconds: list[float] = []
    asked: set[str] = set()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("UPDATE switches SET is_on = 0 WHERE name = 'paused'")
        connection.set_trace_callback(asked.add)
        for _ in range(min(CLAIMS, tally.trials)):
            began = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            claimed = line_rows.claim_next(connection, SchedulingHints())
            connection.execute("COMMIT")
            seconds.append(time.perf_counter() - began)
            tally.expect(claimed is not None, "nothing could be claimed")
        connection.set_trace_callback(None)
        for statement in asked:
            if statement.startswith(("SELECT", "UPDATE jobs")):
                plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                bad = [step for step in plan if step.startswith("SCAN jobs") or "TEMP B-TREE" in step]
                tally.expect(not bad, f"a claim looks at every job: {bad}")
    return quantiles(seconds, n=100, method="inclusive")
