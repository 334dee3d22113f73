"""Row 10: a few recordings kill the transcriber whenever it hears them.

Runs in: the chaos run.
"""

from collections import Counter

from eventually import eventually

from chaos.broken_daemon import broken_daemon
from chaos.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.worker_chaos import DRAIN_SECONDS, unfinished

TITLE = "Poisonous recordings"
DEMAND = "5 among 500: each quarantined at exactly its third crash, 495 done, at most 15 restarts"
JOBS, POISONOUS, CRASHES = 500, 5, 3


def run(trial: Trial) -> Tally:
    """The poison is in the last chunk: what was heard before must be kept, and only heard once."""
    tally = Tally(trials=trial.number(JOBS, least=20))
    luck = trial.luck()
    recordings, poison = trial.folder / "recordings", trial.folder / "poison"
    recordings.mkdir()
    made = [make(recordings / f"{n}.wav", luck.randrange(1 << 30), luck.randint(2, 4)) for n in range(tally.trials)]
    bad = set(luck.sample(range(tally.trials), trial.number(POISONOUS)))
    poison.write_text("\n".join(made[number].texts[-1] for number in bad))
    with broken_daemon(trial.folder / "home", STUB_POISON=str(poison)) as daemon:
        ids = [daemon.submit(one.path) for one in made]
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end")
        jobs = {job["id"]: job for job in daemon.jobs()}
        restarts = daemon.worker("transcriber")["restarts"]
    for number, one in enumerate(made):
        job = jobs[ids[number]]
        outcomes = Counter(attempt["outcome"] for attempt in job["attempts"] if attempt["role"] == "transcriber")
        tally.faults += outcomes["crashed"]
        if number in bad:
            tally.expect(
                job["status"] == "failed" and (job["error"] or {}).get("code") == "transcriber_crashed",
                f"the poisonous job {job['id']} is {job['status']}: {job['error']}",
            )
            tally.expect(outcomes["crashed"] == CRASHES, f"job {job['id']} cost {outcomes}")
            tally.expect(not one.path.with_suffix(".json").exists(), f"job {job['id']} failed and has a transcript")
        elif job["status"] != "done":
            tally.lost += 1
            tally.wrong.append(f"the good job {job['id']} is {job['status']}: {job['error']}")
        elif complaint := complaint_about_files(one, job):
            tally.changed += 1
            tally.wrong.append(complaint)
    tally.expect(restarts == CRASHES * len(bad), f"{restarts} restarts for {len(bad)} poisonous recordings")
    return tally
