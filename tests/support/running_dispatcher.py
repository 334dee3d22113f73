"""A dispatcher and its upgrades on a real queue, with a runner that does as the test says.

Runs in: the test process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from config.settings import Settings
from ipc.api_messages import JobOptions
from ipc.vocabulary import Priority
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.jobs.upgrades import Upgrades
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings

Way = Callable[[Job, Callable[[], None]], Awaitable[Job]]


class Runner:
    """Stands where JobRunner stands."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.way: Way = self.done
        self.upgrade_way: Callable[[Job], Awaitable[Job]] = self.upgraded
        self.started: list[int] = []
        self.spools_cleared: list[int] = []

    async def run(self, job: Job, step: object, transcriber_is_free: Callable[[], None]) -> Job:
        self.started.append(job.id)
        return await self.way(job, transcriber_is_free)

    async def upgrade(self, job: Job, step: object) -> Job:
        return await self.upgrade_way(job)

    def clear_spool(self, job_id: int) -> None:
        self.spools_cleared.append(job_id)

    async def done(self, job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        await self.queue.move(job.id, "writing")
        return await self.queue.move(job.id, "done", timing="word")

    async def upgraded(self, job: Job) -> Job:
        return await self.queue.change(job.id, timing="word", degraded_reason=None)


class Desk:
    """A dispatcher at work, and what is needed to ask it."""

    def __init__(self, queue: JobQueue, spool: Path) -> None:
        self.queue = queue
        self.bus = EventBus()
        self.board = JobBoard(self.bus)
        self.runner = cast(Any, Runner(queue))
        self.availability = SimpleNamespace(
            unavailable_because=dict, lacks_model=False, override_names=frozenset({None}), loaded_names=frozenset()
        )
        self.worker = cast(
            Any,
            SimpleNamespace(
                view=SimpleNamespace(state="ready", note=None), fallback_engine=None, availability=self.availability
            ),
        )
        self.upgrades = Upgrades(queue, self.runner, self.worker, self.board)
        self.dispatcher = JobDispatcher(
            queue, self.runner, self.worker, self.upgrades, self.board, LiveSettings(Settings()), spool
        )

    async def add(self, model: str | None = None, priority: Priority | None = None) -> int:
        identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
        job = await self.queue.add("/x/a.mp3", JobOptions(model=model, priority=priority), identity)
        self.dispatcher.wake()
        return job.id

    async def add_done_without_words(self) -> int:
        job_id = await self.add()
        await self.queue.move(job_id, "transcribing")
        await self.queue.move(job_id, "writing")
        await self.queue.move(job_id, "done", degraded_reason="aligner_unavailable", timing="segment")
        return job_id

    async def becomes(self, job_id: int, status: str) -> Job:
        job = await self.queue.get(job_id)
        for _ in range(500):
            if job.status == status:
                break
            await asyncio.sleep(0.01)
            job = await self.queue.get(job_id)
        assert job.status == status
        return job


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[None]:
    """Running; it must still be running at the end."""
    running = asyncio.create_task(desk.dispatcher.run())
    try:
        yield
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.wait([running])
