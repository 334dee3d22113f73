"""Row 19: the daemon is asked to leave at every moment there is.

Runs in: the chaos run.
"""

import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from eventually import eventually
from no_leftovers import lives

from chaos.daemon.broken_daemon import STUBS, BrokenDaemon
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Asked to leave"
DEMAND = (
    "idle, at work, loading, twice, while starting, with a worker that ignores SIGTERM: out within 10 s, nothing lost"
)
ROUNDS = 8
LONGEST_SECONDS = 10.0
GIVEN_UP_SECONDS = 30.0
CHILDREN_SECONDS = 3.0
DEAF_SECONDS = 30.0
DONE_SECONDS = 60.0
SIDE_BY_SIDE = 2
SECOND_SIGNAL_SECONDS, YOUNGEST_SECONDS = 0.2, 1.5
AS_DELIVERED = {"STENO_DEADLINES_PROGRESS_SECONDS": "120", "STENO_DEADLINES_STOP_SECONDS": "4"}
MOODS: dict[str, dict[str, str]] = {
    "idle": {},
    "at work": {"STUB_PACE": "1"},
    "loading": {"STENO_MODEL": "load=30"},
    "starting": {"STUB_PACE": "1"},
    "twice": {"STUB_PACE": "1"},
    "deaf worker": {"WHISPER_BACKEND": "fake_engines:IgnoresSigtermTranscriber"},
}
RUNNING = {"transcribing", "aligning", "writing"}


@dataclass(slots=True)
class Mood:
    """One home in which the daemon is always asked to leave in the same mood."""

    name: str
    home: Path
    luck: random.Random
    made: dict[int, Made] = field(default_factory=dict)

    def daemon(self, environment: dict[str, str]) -> BrokenDaemon:
        return BrokenDaemon(self.home, {**AS_DELIVERED, **environment})

    def recording(self) -> Made:
        number = self.luck.randrange(1 << 30)
        return make(self.home / f"{number}.wav", number)


def run(trial: Trial) -> Tally:
    """Every mood as often as the others; a job is always there to be lost."""
    moods = [Mood(name, trial.folder / name.replace(" ", ""), trial.luck(name)) for name in MOODS]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        tallies = list(side_by_side.map(lambda mood: _in_mood(mood, trial.number(ROUNDS)), moods))
    tally = Tally()
    for mood, of_mood in zip(moods, tallies, strict=True):
        tally.trials += of_mood.trials
        tally.lost += of_mood.lost
        tally.changed += of_mood.changed
        tally.wrong += of_mood.wrong
        tally.recoveries_seconds += of_mood.recoveries_seconds
        tally.figures[f"slowest out, {mood.name}"] = f"{max(of_mood.recoveries_seconds):.1f} s"
    return tally


def _in_mood(mood: Mood, rounds: int) -> Tally:
    tally = Tally()
    mood.home.mkdir()
    if mood.name == "starting":
        _hand_over_beforehand(mood, rounds)
    for _ in range(rounds):
        _round(mood, tally)
    _all_done(mood, tally)
    return tally


def _hand_over_beforehand(mood: Mood, jobs: int) -> None:
    daemon = mood.daemon(MOODS[mood.name])
    daemon.start()
    try:
        for made in [mood.recording() for _ in range(jobs)]:
            mood.made[daemon.submit(made.path)] = made
        assert daemon.stop() == 0
    finally:
        _end(daemon)


def _round(mood: Mood, tally: Tally) -> None:
    """Up to its mood, out again, and a look at what is left."""
    tally.trials += 1
    daemon = mood.daemon(MOODS[mood.name])
    try:
        if mood.name == "starting":
            daemon.launch()
            time.sleep(mood.luck.uniform(0, YOUNGEST_SECONDS))
        else:
            daemon.start()
            made = mood.recording()
            mood.made[daemon.submit(made.path)] = made
        _reach(mood, daemon)
        children = daemon.children()
        code, seconds = _leave(daemon, again_after=_pause(mood))
    finally:
        _end(daemon)
    tally.recoveries_seconds.append(seconds)
    tally.expect(seconds < LONGEST_SECONDS, f"{mood.name}: out after {seconds:.1f} s")
    # A signal that comes before Python has a handler for it ends a program as it ends any.
    other = {"twice": 128 + signal.SIGTERM, "starting": -signal.SIGTERM}.get(mood.name, 0)
    tally.expect(code in (0, other), f"{mood.name}: exit code {code}")
    eventually(lambda: not any(map(lives, children)), CHILDREN_SECONDS, f"{mood.name}: no child is left")
    found = _statuses(daemon)
    # Only a second signal may leave a job running: the next start knows it for an orphan.
    if found.keys() & RUNNING and mood.name != "twice":
        tally.wrong.append(f"{mood.name}: left with {dict(found)}")
    if found.total() != len(mood.made):
        tally.lost += len(mood.made) - found.total()
    if code == 0:
        tally.expect(not daemon.socket.exists(), f"{mood.name}: its socket is still there")


def _reach(mood: Mood, daemon: BrokenDaemon) -> None:
    match mood.name:
        case "idle":
            daemon.finished(max(mood.made))
        case "at work" | "twice":
            daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
        case "loading":
            daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "starting" and worker["pid"])
        case "deaf worker":
            eventually(lambda: _is_deaf(daemon.worker("transcriber")["pid"]), DEAF_SECONDS, "the worker is deaf")
        case _:
            return  # it is started, and that is all


def _is_deaf(pid: int | None) -> bool:
    """Whether it ignores SIGTERM, says the kernel."""
    if pid is None:
        return False
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (ignored,) = [line.split()[1] for line in lines if line.startswith("SigIgn")]
    return bool(int(ignored, 16) >> (signal.SIGTERM - 1) & 1)


def _pause(mood: Mood) -> float | None:
    return mood.luck.uniform(0, SECOND_SIGNAL_SECONDS) if mood.name == "twice" else None


def _leave(daemon: BrokenDaemon, again_after: float | None) -> tuple[int, float]:
    """Its exit code, and how long it took."""
    assert daemon.process is not None
    began = time.monotonic()
    daemon.process.terminate()
    if again_after is not None:
        time.sleep(again_after)
        daemon.process.terminate()
    try:
        return daemon.process.wait(timeout=GIVEN_UP_SECONDS), time.monotonic() - began
    except subprocess.TimeoutExpired:
        daemon.kill()
        return -signal.SIGKILL, time.monotonic() - began


def _statuses(daemon: BrokenDaemon) -> Counter[str]:
    database = daemon.home / "state" / "jobs.sqlite3"
    if not database.exists():
        return Counter()
    with closing(sqlite3.connect(database)) as connection:
        return Counter(dict(connection.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall()))


def _all_done(mood: Mood, tally: Tally) -> None:
    """Started once more, in no mood, it ends what it was kept from ending."""
    daemon = mood.daemon(STUBS)
    daemon.start()
    try:
        for job_id, made in mood.made.items():
            job = daemon.finished(job_id, DONE_SECONDS)
            if job["status"] != "done":
                tally.lost += 1
                tally.wrong.append(f"{mood.name}: job {job_id} is {job['status']}: {job['error']}")
            elif complaint := complaint_about_files(made, job):
                tally.changed += 1
                tally.wrong.append(f"{mood.name}: {complaint}")
        tally.expect(daemon.stop() == 0, f"{mood.name}: the last stop was not orderly")
    finally:
        _end(daemon)


def _end(daemon: BrokenDaemon) -> None:
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()
