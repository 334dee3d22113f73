"""Row 11: no aligner to be had. Every job finishes with its text, and gains its words when the aligner is back.

Runs in: the chaos run.
"""

from collections import Counter

from eventually import eventually

from chaos.broken_daemon import STUBS, broken_daemon
from chaos.oracle import complaint_about_files, make
from chaos.tally import Tally
from chaos.trial import Trial
from chaos.worker_chaos import DRAIN_SECONDS, unfinished

TITLE = "The aligner is down"
DEMAND = "500 of 500 done, the text identical, none transcribed twice, all upgraded once it is back"
JOBS = 500


def run(trial: Trial) -> Tally:
    """It dies while loading as long as a file says so."""
    tally = Tally(trials=trial.number(JOBS, least=10))
    luck = trial.luck()
    recordings, down = trial.folder / "recordings", trial.folder / "down"
    recordings.mkdir()
    down.touch()
    made = [make(recordings / f"{n}.wav", luck.randrange(1 << 30), luck.randint(1, 4)) for n in range(tally.trials)]
    environment = {
        **STUBS,
        "ALIGNMENT_BACKEND": "chaos.stub_engines:MoodyAligner",
        "STUB_DOWN": str(down),
        "STENO_RESTARTS_DEATHS_ALLOWED": "3",
        "STENO_RESTARTS_PROBE_SECONDS": "1",
    }
    with broken_daemon(trial.folder / "home", **environment) as daemon:
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "broken")
        ids = [daemon.submit(one.path) for one in made]
        eventually(lambda: unfinished(daemon) == 0, DRAIN_SECONDS, "all jobs end without an aligner")
        for job in daemon.jobs():
            one = made[ids.index(job["id"])]
            tally.expect(
                job["status"] == "done" and job["degraded_reason"] == "aligner_unavailable",
                f"job {job['id']} is {job['status']}, {job['degraded_reason']}",
            )
            if complaint := complaint_about_files(one, job, words=False):
                tally.changed += 1
                tally.wrong.append(complaint)
        down.unlink()
        eventually(
            lambda: all(job["timing"] == "word" for job in daemon.jobs()), DRAIN_SECONDS, "every job gains its words"
        )
        for job in daemon.jobs():
            one = made[ids.index(job["id"])]
            if complaint := complaint_about_files(one, job):
                tally.changed += 1
                tally.wrong.append(complaint)
            roles = Counter(attempt["role"] for attempt in job["attempts"] if attempt["outcome"] == "done")
            tally.expect(roles["transcriber"] == 1, f"job {job['id']} was transcribed {roles['transcriber']} times")
        tally.faults = daemon.worker("aligner")["restarts"]
    return tally
