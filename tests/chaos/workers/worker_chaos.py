"""Row 1: both workers die, exit and stop at random places while jobs go through them.

Runs in: the chaos run.
"""

import random
import time
from collections import Counter
from pathlib import Path

import psutil
from eventually import eventually

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon, pids_of
from chaos.daemon.ledger import Ledger
from chaos.daemon.onlooker import looked_at
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Workers die at random"
DEMAND = "2,000 jobs, 600 faults: nothing lost, doubled or changed; ready again within a second (p95)"
JOBS = 2_000
FAULTS = {"segv": 200, "kill": 200, "abrt": 100, "exit": 50, "stop": 50}
RECOVERY_P95_SECONDS = 1.0

PLACES = {
    "transcriber": ("request_begun", "pcm_named", "batch_begun", "batch_said", "answer_made"),
    "aligner": ("request_heard", "request_begun", "segment_begun", "segment_done", "answer_made"),
}
STRIKE_SECONDS = 20.0
"""By then a request has come by, or there are none any more."""
BACK_SECONDS = 30.0
DRAIN_SECONDS = 600.0


def run(trial: Trial) -> Tally:
    """Faults are laid one after the other, in a random place of a random worker that is not hit twice on one job."""
    tally = Tally(trials=trial.number(JOBS))
    luck = trial.luck()
    faults = [how for how, planned in FAULTS.items() for _ in range(trial.number(planned))]
    luck.shuffle(faults)
    home, recordings = trial.folder / "home", trial.folder / "recordings"
    recordings.mkdir()
    ledger = Ledger(trial.folder / "ledger")
    with broken_daemon(home) as daemon:
        made = {}
        for number in range(tally.trials):
            one = make(recordings / f"{number}.wav", luck.randrange(1 << 30), chunks=luck.randint(1, 4))
            job_id = daemon.submit(one.path)
            ledger.acknowledge(job_id, one.path)
            made[job_id] = one
        hit: dict[str, set[int]] = {"transcriber": set(), "aligner": set()}
        with looked_at(daemon, trial, tally):
            for how in faults:
                _fault(daemon, how, luck, hit, tally)
        daemon.disarm()
        trial.say(f"  {tally.faults} faults struck; the rest of the jobs")
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        examine(daemon, ledger, made, tally)
    p95 = tally.recovery(95)
    quick = p95 is not None and p95 < RECOVERY_P95_SECONDS
    tally.expect(quick or trial.share < 1, f"ready again after {p95} s (p95)")
    return tally


def _fault(daemon: BrokenDaemon, how: str, luck: random.Random, hit: dict[str, set[int]], tally: Tally) -> None:
    role = luck.choice(tuple(PLACES))
    deadline = time.monotonic() + STRIKE_SECONDS
    # A job that loses its worker three times is quarantined, as the policy says: rows 2 and 10 prove that.
    eventually(lambda: not hit[role] & _running(daemon), STRIKE_SECONDS, "another job is next")
    before = pids_of(daemon).get(role)
    trap = daemon.arm(role, luck.choice(PLACES[role]), how)
    while trap.exists():
        if time.monotonic() > deadline:
            trap.unlink(missing_ok=True)
            return
        time.sleep(0.005)
    tally.faults += 1
    hit[role] |= _running(daemon)
    if before is None:
        return
    eventually(lambda: not psutil.pid_exists(before), BACK_SECONDS, f"the {role} that got {how} is gone")
    died = time.monotonic()
    eventually(lambda: _is_back(daemon, role, before), BACK_SECONDS, f"the {role} is back")
    tally.recoveries_seconds.append(time.monotonic() - died)


def examine(daemon: BrokenDaemon, ledger: Ledger, made: dict[int, Made], tally: Tally) -> None:
    """The oracle's word on every job that was acknowledged, and on every file that is there."""
    jobs = {job["id"]: job for job in daemon.jobs()}
    of_path = Counter(job["path"] for job in jobs.values())
    tally.duplicated += sum(count - 1 for count in of_path.values())
    expected: set[Path] = set()
    for job_id in ledger.acknowledged:
        job, one = jobs.get(job_id), made[job_id]
        if job is None or job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"job {job_id} is {job and (job['status'], job['error'])}")
            continue
        if complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(f"job {job_id}: {complaint}")
        expected |= {one.path, *map(Path, job["outputs"].values())}
    found = {path for folder in {one.path.parent for one in made.values()} for path in folder.iterdir()}
    tally.duplicated += len(found - expected)
    tally.wrong += [f"{path.name} belongs to nobody" for path in sorted(found - expected)[:5]]


def _running(daemon: BrokenDaemon) -> set[int]:
    return {job["id"] for job in daemon.get("/v1/status")["running"]}


def unfinished(daemon: BrokenDaemon) -> int:
    """Jobs that wait or run."""
    queue = daemon.get("/v1/status")["queue"]
    return int(queue["waiting"]) + int(queue["running"])


def _is_back(daemon: BrokenDaemon, role: str, before: int) -> bool:
    worker = daemon.worker(role)
    return worker["state"] in ("ready", "busy") and worker["pid"] not in (None, before)
