"""What must be true of a queue and its jobs after all that happened to them, and what of it the database says.

Runs in: the stories' processes.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass

from ipc.vocabulary import JobStatus
from supervisor.jobs.dispatch_order import JOBS_AT_ONCE

PROBATION_CRASHES = 2
RUNNING: frozenset[JobStatus] = frozenset({"transcribing", "aligning", "writing"})
Facts = tuple[JobStatus, int, int, int, int, int, bool]
"""Of a job, in the order of `FACTS`."""


@dataclass(slots=True)
class ModelledJob:
    """What must be true of a job."""

    status: JobStatus = "waiting"
    heard: int = 0
    timed: int = 0
    claims: int = 0
    crashes: int = 0
    errands: int = 0
    degraded: bool = False
    set_back_until: float = 0.0

    @property
    def facts(self) -> Facts:
        return (
            self.status,
            self.heard,
            self.timed,
            self.claims,
            self.crashes,
            self.errands,
            self.degraded and self.status == "done",
        )


class ModelledQueue(dict[int, ModelledJob]):
    """Its jobs by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.aligner_is_there = True

    def those(self, *statuses: JobStatus) -> list[int]:
        return [job_id for job_id, job in self.items() if job.status in statuses]

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs there are of each status."""
        return dict(Counter(job.status for job in self.values()))

    def claim_as_the_dispatcher_must(self, now: float) -> None:
        """`now` in seconds of the queue's clock."""
        while not self.paused and not self.those("transcribing") and len(self.those(*RUNNING)) < JOBS_AT_ONCE:
            waiting = [(self[job_id], job_id) for job_id in self.those("waiting")]
            free = [(job, job_id) for job, job_id in waiting if job.set_back_until <= now]
            if not free:
                return
            job, _ = min(free, key=lambda one: (one[0].crashes >= PROBATION_CRASHES, one[1]))
            job.status = "transcribing"
            job.claims += 1

    def upgrade_as_it_must(self) -> None:
        for job in self.values():
            if self.aligner_is_there and job.status == "done" and job.degraded:
                job.degraded = False
                job.errands += 1

    def end(self, job_id: int, status: JobStatus) -> None:
        job = self[job_id]
        job.status = status
        job.errands += status in ("done", "failed")

    def restart(self) -> None:
        """All that was running waits."""
        for job in self.values():
            job.set_back_until = 0.0
            if job.status in RUNNING:
                job.status = "waiting"


FACTS = """SELECT id, status,
    (SELECT count(*) FROM segments WHERE job_id = jobs.id AND content LIKE '%"so"%') AS heard,
    (SELECT count(*) FROM segments WHERE job_id = jobs.id AND aligned) AS timed,
    claims, transcriber_crashes AS crashes,
    (SELECT count(*) FROM errands WHERE job_id = jobs.id) AS errands,
    status = 'done' AND degraded_reason IS NOT NULL AS degraded
    FROM jobs"""


def facts_of(connection: sqlite3.Connection) -> tuple[list[sqlite3.Row], dict[str, int]]:
    """Of each job its id and its facts; and how many jobs of each status the queue itself counts."""
    counts = {row["status"]: row["jobs"] for row in connection.execute("SELECT * FROM job_counts WHERE jobs > 0")}
    return connection.execute(FACTS).fetchall(), counts
