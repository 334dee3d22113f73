"""Row 19: the daemon is asked to leave at every moment there is.

Runs in: the chaos run.
"""

import signal
import sqlite3
import time
from contextlib import closing

from eventually import eventually
from no_leftovers import lives

from chaos.broken_daemon import BrokenDaemon
from chaos.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Asked to leave"
DEMAND = (
    "idle, at work, loading, twice, while starting, with a worker that ignores SIGTERM: out within 10 s, nothing lost"
)
ROUNDS = 8
LONGEST_SECONDS = 10.0
MOODS: dict[str, dict[str, str]] = {
    "idle": {},
    "at work": {"STUB_PACE": "1"},
    "loading": {"STENO_MODEL": "load=30"},
    "starting": {},
    "twice": {"STUB_PACE": "1"},
    "deaf worker": {"WHISPER_BACKEND": "fake_engines:IgnoresSigtermTranscriber"},
}
WAITING = {"waiting", "transcribing", "aligning", "writing"}
"""What the next start goes on with; only a second signal may leave a job running."""


def run(trial: Trial) -> Tally:
    """Every mood as often as the others; a job is always there to be lost."""
    tally = Tally()
    luck = trial.luck()
    recordings = trial.folder / "recordings"
    recordings.mkdir()
    for mood, environment in MOODS.items():
        for number in range(trial.number(ROUNDS)):
            home = trial.folder / f"{mood.replace(' ', '')}{number}"
            daemon = BrokenDaemon(home, environment)
            tally.trials += 1
            try:
                if mood == "starting":
                    daemon.launch()
                    time.sleep(luck.uniform(0, 1.5))
                    job_id = None
                else:
                    daemon.start()
                    job_id = daemon.submit(make(recordings / f"{mood}{number}.wav", number).path)
                if mood in ("at work", "twice", "deaf worker"):
                    daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
                elif mood == "idle" and job_id is not None:
                    daemon.finished(job_id)
                children = daemon.children()
                code, seconds = _leave(daemon, twice=mood == "twice")
            finally:
                if daemon.process is not None and daemon.process.poll() is None:
                    daemon.kill()
            tally.recoveries_seconds.append(seconds)
            tally.expect(seconds < LONGEST_SECONDS, f"{mood}: out after {seconds:.1f} s")
            # A signal that comes before Python has a handler for it ends a program as it ends any.
            right = {"twice": 128 + signal.SIGTERM, "starting": -signal.SIGTERM}.get(mood, 0)
            tally.expect(code in (0, right), f"{mood}: exit code {code}")
            eventually(lambda gone=children: not any(map(lives, gone)), 3, f"{mood}: no child is left")
            if job_id is not None:
                status = _status(daemon, job_id)
                if status not in ({"done"} if mood == "idle" else WAITING if mood == "twice" else {"waiting"}):
                    tally.lost += 1
                    tally.wrong.append(f"{mood}: the job is {status}")
    return tally


def _leave(daemon: BrokenDaemon, *, twice: bool) -> tuple[int, float]:
    assert daemon.process is not None
    began = time.monotonic()
    daemon.process.terminate()
    if twice:
        time.sleep(0.05)
        daemon.process.terminate()
    return daemon.process.wait(timeout=30), time.monotonic() - began


def _status(daemon: BrokenDaemon, job_id: int) -> str:
    with closing(sqlite3.connect(daemon.home / "state" / "jobs.sqlite3")) as database:
        return str(database.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone()[0])
