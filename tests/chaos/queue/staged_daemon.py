"""A daemon whose jobs go as a story says: all of it that the queue is about, and nothing that hears or writes.

Runs in: the stories' processes.

Real are the queue, its database, the dispatcher, the turns, the upgrades, the board, the transitions and their tasks.
The story itself stands where JobRunner stands: it decides what becomes of the jobs that were started.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

from chaos.simulation.event_loop import VirtualLoop
from config.settings import QueueSettings, Settings
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.jobs.upgrades import Upgrades
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, NewFollowUp
from supervisor.system.reload import LiveSettings

KEPT_DAYS = 1.0

Way = Callable[["Shift"], Awaitable[Job]]


@dataclass(slots=True)
class Shift:
    """A job that the dispatcher has started, in the hands of the story."""

    job: Job
    transcriber_is_free: Callable[[], None]
    orders: "asyncio.Queue[Way]"


class Hands:
    """Stands where JobRunner stands: every started job waits for its orders."""

    def __init__(self, queue: JobQueue) -> None:
        self.shifts: dict[int, Shift] = {}
        self._queue = queue

    async def run(self, job: Job, step: object, transcriber_is_free: Callable[[], None]) -> Job:
        assert job.id not in self.shifts, f"job {job.id} is started twice"
        shift = self.shifts[job.id] = Shift(job, transcriber_is_free, asyncio.Queue())
        try:
            return await (await shift.orders.get())(shift)
        finally:
            del self.shifts[job.id]

    async def order(self, job_id: int, way: Way) -> None:
        """How the job goes. Raises KeyError: it was not started."""
        self.shifts[job_id].orders.put_nowait(way)

    async def upgrade(self, job: Job, step: object) -> Job:
        return await self._queue.finish_upgrade(job.id, degraded_reason=None, timing="word")

    def clear_spool(self, job_id: int) -> None:
        """There is none."""


class AlwaysAHook:
    """Every end is followed by one follow-up."""

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        return [NewFollowUp("hook", event)]

    def wake(self) -> None:
        """Nobody runs them."""


class StagedDaemon:
    """One life of it."""

    def __init__(self, database: Path, queue: JobQueue, loop: VirtualLoop, aligner_is_there: bool) -> None:
        self.database = database
        self.queue = queue
        self.queue.aftermath = AlwaysAHook()
        self.hands = Hands(queue)
        availability = SimpleNamespace(
            unavailable_because=dict, lacks_model=False, override_names=frozenset({None}), loaded_names=frozenset()
        )
        self._transcriber, self._aligner = (
            SimpleNamespace(
                view=SimpleNamespace(state="ready", note=None), fallback_engine=None, availability=availability
            )
            for _ in range(2)
        )
        self.let_aligner_be(aligner_is_there)
        board = JobBoard(EventBus(), clock=loop.time)
        hands, transcriber, aligner = cast(Any, self.hands), cast(Any, self._transcriber), cast(Any, self._aligner)
        upgrades = Upgrades(queue, hands, aligner, board)
        limits = LiveSettings(Settings.model_validate({"media": {"free_disk_floor_mb": 0}}))
        self.dispatcher = JobDispatcher(queue, hands, transcriber, upgrades, board, limits, database.parent)
        self.running = asyncio.ensure_future(self.dispatcher.run())

    @classmethod
    async def start(cls, database: Path, loop: VirtualLoop, *, aligner_is_there: bool) -> Self:
        """Its clock is that of the loop. Raises what `JobQueue.open` raises."""
        kept = QueueSettings(keep_finished_days=KEPT_DAYS)
        queue = await JobQueue.open(database, kept, now=loop.time, steady=loop.time)
        return cls(database, queue, loop, aligner_is_there)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])
        assert self.running.cancelled(), f"the dispatcher ended: {self.running.exception()!r}"
        await self.queue.close()

    def let_aligner_be(self, is_there: bool) -> None:
        """The dispatcher is not told."""
        self._aligner.view.state = "ready" if is_there else "broken"
