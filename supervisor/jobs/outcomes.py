"""How the way of a job ends early: it failed, or it must wait.

Runs in: supervisor.
"""

from ipc.api_messages import JobError
from supervisor.results.file_plan import OutputRefused

LOOK_AGAIN_SECONDS = 10.0
"""Nothing tells us when a disk has room again, or whatever made a job wait has passed: look this often."""
STOPPED = "the daemon stopped while it ran"
"""The note of a job whose worker was taken away by an orderly stop."""


class JobFailed(Exception):
    """The job cannot be done; recorded, and nobody tries again until asked."""

    def __init__(self, error: JobError, *, quarantined: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.quarantined = quarantined
        """True when it failed because it killed workers."""


class JobMustWait(Exception):
    """Something the job needs is not there now; it goes back to waiting with what it has."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note
        """Why, in words, for `steno show`."""


class JobMustWaitLonger(JobMustWait):
    """The same where each try costs something, a thread or a process: the waits grow."""


def setback_of(refused: OutputRefused) -> JobFailed | JobMustWait:
    """What it means for a job that a file of it cannot be written: room will come, all else wants a person."""
    if refused.code == "disk_full":
        return JobMustWait(f"{refused.message}; {refused.hint}")
    return JobFailed(JobError(code=refused.code, message=refused.message, hint=refused.hint))


class JobSuperseded(Exception):
    """The watched file changed before its turn came; the new version is a job of its own."""
