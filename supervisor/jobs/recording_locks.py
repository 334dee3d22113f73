"""Who has a job's recording in hand: those who read it, or the one who moves it, never both.

Runs in: supervisor.
"""

import asyncio
from weakref import WeakValueDictionary


class RecordingsInHand:
    """A lock for each job, as long as anybody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def of(self, job_id: int) -> asyncio.Lock:
        """The job's lock. After having waited for it, ask the queue where the recording is now."""
        lock = self._locks.get(job_id)
        if lock is None:
            lock = self._locks[job_id] = asyncio.Lock()
        return lock
