"""Row 10: a few recordings kill the transcriber whenever it hears them; and kills of the daemon are no job's fault.

Runs in: the chaos run.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from eventually import eventually
from no_leftovers import lives

from chaos.daemon.broken_daemon import BrokenDaemon, broken_daemon
from chaos.daemon.ledger import Ledger
from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.workers.worker_chaos import DRAIN_SECONDS, examine, unfinished

TITLE = "Poisonous recordings"
DEMAND = (
    "5 among 500: each quarantined at exactly its third crash, 495 done, at most 15 restarts; 50 kills of the daemon "
    "quarantine no good job"
)
JOBS, POISONOUS, CRASHES = 500, 5, 3
KILLS, KILLED_JOBS = 50, 12
LONGEST_WORK_SECONDS = 0.8
NOT_HUNG = {"STENO_DEADLINES_PROGRESS_SECONDS": "60"}
"""Nothing hangs here, and a machine that is busy with other things is no crash."""


def run(trial: Trial) -> Tally:
    """Two daemons side by side."""
    with ThreadPoolExecutor() as threads:
        poisoned, killed = threads.submit(_poisoned, trial), threads.submit(_killed, trial)
    both = poisoned.result(), killed.result()
    tally = Tally(
        trials=sum(one.trials for one in both),
        faults=sum(one.faults for one in both),
        lost=sum(one.lost for one in both),
        duplicated=sum(one.duplicated for one in both),
        changed=sum(one.changed for one in both),
        wrong=[sentence for one in both for sentence in one.wrong],
    )
    for one in both:
        tally.figures |= one.figures
    return tally


def _poisoned(trial: Trial) -> Tally:
    """The poison is in the last chunk: what was heard before must be kept, and only heard once."""
    tally = Tally(trials=trial.number(JOBS, least=20))
    luck = trial.luck()
    recordings, poison = trial.folder / "recordings", trial.folder / "poison"
    recordings.mkdir()
    made = [make(recordings / f"{n}.wav", luck.randrange(1 << 30), luck.randint(2, 4)) for n in range(tally.trials)]
    bad = set(luck.sample(range(tally.trials), trial.number(POISONOUS)))
    poison.write_text("\n".join(made[number].texts[-1] for number in bad))
    with broken_daemon(trial.folder / "home", STUB_POISON=str(poison), **NOT_HUNG) as daemon:
        ids = [daemon.submit(one.path) for one in made]
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        jobs = {job["id"]: job for job in daemon.jobs()}
        restarts = daemon.worker("transcriber")["restarts"]
    for number, one in enumerate(made):
        job = jobs[ids[number]]
        if number in bad:
            _examine_poison(one, job, tally)
        elif job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"the good job {job['id']} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(complaint)
    tally.expect(restarts == CRASHES * len(bad), f"{restarts} restarts for {len(bad)} poisonous recordings")
    tally.figures["restarts"] = f"{restarts} for {len(bad)} poisonous recordings"
    return tally


def _examine_poison(one: Made, job: dict[str, Any], tally: Tally) -> None:
    outcomes = _outcomes(job)
    tally.faults += outcomes["crashed"]
    tally.expect(
        job["status"] == "failed" and (job["error"] or {}).get("code") == "transcriber_crashed",
        f"the poisonous job {job['id']} is {job['status']}: {job['error']}",
    )
    tally.expect(outcomes == {"crashed": CRASHES}, f"job {job['id']} cost {outcomes}")
    # All but the poisonous chunk was stored before the first crash, so every crash came at the same place.
    places = {attempt["done_seconds"] for attempt in job["attempts"] if attempt["role"] == "transcriber"}
    tally.expect(len(places) == 1, f"job {job['id']} crashed at {places}")
    tally.expect(not one.path.with_suffix(".json").exists(), f"job {job['id']} failed and has a transcript")


def _killed(trial: Trial) -> Tally:
    """Long jobs, each of which is in the middle of its work again and again when the daemon is killed."""
    kills = trial.number(KILLS, least=4)
    tally = Tally(trials=kills, faults=kills)
    luck, recordings = trial.luck("killed"), trial.folder / "long"
    recordings.mkdir()
    made = [make(recordings / f"{n}.wav", luck.randrange(1 << 30), 20) for n in range(trial.number(KILLED_JOBS))]
    ledger = Ledger(trial.folder / "ledger")
    daemon = BrokenDaemon(trial.folder / "killed", {"STUB_PACE": "0.1", **NOT_HUNG})
    hit: Counter[int] = Counter()
    try:
        of_job = _taken(daemon, made, ledger)
        for _ in range(kills):
            hit.update(_killed_at_work(daemon, luck.uniform(0, LONGEST_WORK_SECONDS)))
            daemon.start()
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        examine(daemon, ledger, of_job, tally)
        for job in daemon.jobs():
            tally.expect(set(_outcomes(job)) == {"done"}, f"job {job['id']} was charged {_outcomes(job)}")
        tally.expect(daemon.stop() == 0, "the last stop was not orderly")
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
    most = max(hit.values(), default=0)
    tally.figures["kills of the daemon during the same job, at most"] = str(most)
    tally.expect(most >= CRASHES, f"no job was hit by more than {most} kills: nothing is proved")
    return tally


def _taken(daemon: BrokenDaemon, made: Sequence[Made], ledger: Ledger) -> dict[int, Made]:
    daemon.start()
    of_job = {}
    for one in made:
        job_id = daemon.submit(one.path)
        ledger.acknowledge(job_id, one.path)
        of_job[job_id] = one
    return of_job


def _killed_at_work(daemon: BrokenDaemon, after_seconds: float) -> set[int]:
    """The jobs that were running when the daemon was killed, so long after its transcriber had something to do."""
    if unfinished(daemon):
        eventually(
            lambda: daemon.worker("transcriber")["state"] == "busy" or not unfinished(daemon), 60, "work goes on"
        )
    time.sleep(after_seconds)
    running = {job["id"] for job in daemon.get("/v1/status")["running"]}
    children: list[Any] = daemon.children()
    daemon.kill()
    eventually(lambda: not any(map(lives, children)), 10, "no child outlives its daemon")
    return running


def _outcomes(job: dict[str, Any]) -> Counter[str]:
    return Counter(attempt["outcome"] for attempt in job["attempts"] if attempt["role"] == "transcriber")
