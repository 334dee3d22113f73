"""What is remembered from one claim to the next: who was set back, and how long one model has been preferred.

Runs in: supervisor.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable

from supervisor.jobs.obstacles import transcriber_obstacles
from supervisor.store.job import Job
from supervisor.store.schedule import LONGEST_SERVED_SECONDS, Model, Turn
from supervisor.worker.handle import WorkerKeeper

LONGEST_SETBACK_SECONDS = 600.0


class JobTurns:
    """Knows what decides who is next; the line itself is in the database."""

    def __init__(self, transcriber: WorkerKeeper) -> None:
        self._transcriber = transcriber
        self._set_back: dict[int, float] = {}
        """Job → loop time before which it is not started again, because it had to wait a moment ago."""
        self._tries: Counter[int] = Counter()
        """Job → how often in a row it had to wait for longer."""
        self._served: frozenset[Model] = frozenset()
        self._served_since = math.inf
        """Loop time of the first claim in a row for the model with these names; infinite: there was none."""

    @property
    def now(self) -> Turn:
        """What decides at this moment."""
        offer, now = self._transcriber.offer, asyncio.get_running_loop().time()
        return Turn(
            own=offer.own_names,
            loaded=offer.loaded_names,
            missing=frozenset(transcriber_obstacles(self._transcriber).of_models),
            set_back=frozenset(job_id for job_id, until in self._set_back.items() if until > now),
            oldest_decides=now - self._served_since >= LONGEST_SERVED_SECONDS,
        )

    def claimed(self, job: Job, turn: Turn) -> None:
        """This job was started."""
        if job.options.model not in self._served:
            self._served = turn.names_of(job.options.model)
            self._served_since = asyncio.get_running_loop().time()

    def nobody_claimed(self) -> None:
        """No job could start: nobody is kept waiting by whoever is served."""
        self._served, self._served_since = frozenset(), math.inf

    def set_back(self, job_ids: Iterable[int], seconds: float) -> None:
        """They are not started for so long."""
        now = asyncio.get_running_loop().time()
        still = {job_id: until for job_id, until in self._set_back.items() if until > now}
        self._set_back = still | dict.fromkeys(job_ids, now + seconds)

    def pause_after(self, job_id: int, seconds: float, *, grows: bool) -> float:
        """How long the job is not started again; twice as long as the last time where each try costs something."""
        if not grows:
            return seconds
        self._tries[job_id] += 1
        return float(min(seconds * 2.0 ** min(self._tries[job_id] - 1, 10), LONGEST_SETBACK_SECONDS))

    def forget_setbacks(self) -> None:
        """Whatever they had to wait for may be mended."""
        self._set_back.clear()
        self._tries.clear()
