"""Row 18: more jobs wait than anybody hands over in a year.

Runs in: the chaos run.
"""

import time

from daemon_under_test import DaemonUnderTest

from chaos.broken_daemon import STUBS
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "A backlog"
DEMAND = "10,000 handed over within 30 s; started again within 2 s; the database stays below 50 MB"
JOBS = 10_000
SUBMIT_SECONDS, START_SECONDS, DATABASE_BYTES = 30.0, 2.0, 50_000_000


def run(trial: Trial) -> Tally:
    """In a paused queue, one after the other over one connection."""
    tally = Tally(trials=trial.number(JOBS))
    recordings, home = trial.folder / "recordings", trial.folder / "home"
    for folder in (recordings, home):
        folder.mkdir()
    paths = [recordings / f"{number}.wav" for number in range(tally.trials)]
    for number, path in enumerate(paths):
        path.write_bytes(b"RIFF%d" % number)
    daemon = DaemonUnderTest(home, STUBS)
    daemon.start()
    try:
        daemon.post("/v1/queue/pause")
        began = time.monotonic()
        with daemon.client() as client:
            for path in paths:
                client.post("/v1/jobs", json={"path": str(path)}).raise_for_status()
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
    allowed = SUBMIT_SECONDS * tally.trials / JOBS
    tally.recoveries_seconds.append(started)
    tally.figures = {
        "handed over in": f"{submitted:.1f} s",
        "started in": f"{started:.2f} s",
        "files": f"{size:,} bytes",
    }
    tally.expect(submitted < max(allowed, 1.0), f"handing over took {submitted:.1f} s")
    tally.expect(started < START_SECONDS, f"the start took {started:.2f} s")
    tally.expect(size < DATABASE_BYTES, f"the database has {size:,} bytes")
    return tally
