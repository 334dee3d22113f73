"""Starts of workers that fail, or come too late, and the end of all hearing.

Runs in: supervisor.
"""

from multiprocessing.context import SpawnProcess

REAP_SECONDS = 5.0
"""From SIGKILL to the exit status. Longer is a process stuck in the kernel, and nothing we could wait for."""
WRITE_OFF_SECONDS = 8.0
"""From SIGKILL to the end of all hope: a process that still lives hangs in the kernel, and nobody can end it."""
TRACEBACK_SECONDS = 0.25
"""For a hung worker to write down where it hangs, before it is killed."""


class SpawnFailed(Exception):
    """No process could be started: no memory, no descriptors, or it took too long."""


class WorkerGone(Exception):
    """There is nothing more to be heard from this worker."""


def undo_start(process: SpawnProcess) -> None:
    """A start that came too late: nobody knows this child."""
    if process.pid is not None:
        process.kill()
        process.join(REAP_SECONDS)
