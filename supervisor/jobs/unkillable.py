"""What a job does when the worker that held it hangs in the kernel and cannot be killed: pure.

Runs in: supervisor.
"""

from ipc.api_messages import JobError
from ipc.worker_messages import Role
from supervisor.jobs.outcomes import JobFailed, JobMustWait, JobMustWaitLonger
from supervisor.store.job import Job
from supervisor.worker.death import Death

MOST_UNKILLABLE = 3
"""Workers that may hang over one recording at one place, once its disk has nothing to do with it."""


def is_spellbound(job: Job, role: Role) -> bool:
    """Whether so many workers hung in the kernel over a recording that it must be the reason.

    While a recording is decoded its disk is what hangs, and the job only waits.
    """
    here = round(job.transcribed_seconds, 2)
    hung = [
        attempt
        for attempt in job.attempts
        if attempt.unkillable
        and attempt.role == role
        and attempt.phase not in (None, "decoding")
        and attempt.done_seconds in (None, here)
    ]
    return len(hung) >= MOST_UNKILLABLE


def setback_of_unkillable(job: Job, death: Death) -> JobFailed | JobMustWait:
    """Nobody is charged: a disk that died is the usual reason. Another worker has taken the place."""
    if not is_spellbound(job, "transcriber"):
        return JobMustWaitLonger(f"its worker: {death.reason}; it is tried again later")
    error = JobError(
        code="worker_unkillable",
        message=f"{MOST_UNKILLABLE} workers hang in the kernel over this recording: {death.reason}",
        hint=f"look for a driver's fault in the system's log; `steno retry {job.id}` tries again",
    )
    return JobFailed(error, quarantined=True)
