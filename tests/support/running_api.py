"""A daemon's API on a real socket with a desk in memory behind it: for tests of the API and of its client.

Runs in: the test process.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from ipc.api_messages import JobView, SubmitFile
from ipc.events import DaemonEvent, JobChanged, QueuePaused
from ipc.status_views import DaemonView, HealthView, QueueView, StatusView, WatchView, WorkerView
from ipc.vocabulary import Format, JobStatus, Role
from supervisor.api.app import create_app
from supervisor.api.server import serve
from supervisor.api.service import DaemonService, JobsPage
from supervisor.api.unix_socket import bind
from supervisor.progress.event_bus import EventBus
from supervisor.system.refused import RequestRefused

CREATED = "2026-01-02T03:04:05.000+00:00"


QUEUE = QueueView(waiting=0, running=0, done=0, failed=0, paused=False)


class DeskInMemory:
    """Enough of a FrontDesk to serve requests, and a record of them."""

    def __init__(self) -> None:
        self.bus = EventBus()
        self.list: dict[int, JobView] = {}
        self.asked: list[Any] = []
        self.workers: tuple[WorkerView, ...] = ()

    async def submit(self, wanted: SubmitFile, key: str | None = None) -> JobView:
        if wanted.path == "/explode":
            raise RuntimeError("a secret /home/somebody")
        self.asked.append(wanted)
        return self.move(JobView(id=len(self.list) + 1, path=wanted.path, status="waiting", created_at=CREATED))

    def move(self, job: JobView) -> JobView:
        self.list[job.id] = job
        self.bus.publish(JobChanged(job=job))
        return job

    async def jobs(self, status: JobStatus | None, limit: int, before: int | None) -> JobsPage:
        older = [job for job in self.list.values() if before is None or job.id < before]
        found = [job for job in older if status in (None, job.status)][::-1]

        async def views() -> AsyncIterator[list[JobView]]:
            for job in found[:limit]:
                yield [job]

        return JobsPage(views(), found[limit - 1].id if len(found) > limit else None)

    async def job(self, job_id: int) -> JobView:
        if job_id not in self.list:
            raise RequestRefused(404, "no_such_job", f"there is no job {job_id}", "`steno jobs` lists them")
        return self.list[job_id]

    async def transcript(self, job_id: int, format: Format) -> Iterator[bytes]:
        return iter([f"{job_id} as {format}: ".encode(), "Grüße".encode()])

    async def status(self) -> StatusView:
        return StatusView(
            daemon=DaemonView(pid=1, version="0", uptime_seconds=1.5), workers=self.workers, queue=QUEUE, watches=()
        )

    async def health(self, fresh: bool) -> HealthView:
        return HealthView(healthy=True, transcriber="ready", aligner=None)

    async def restart(self, role: Role) -> None:
        self.asked.append(role)
        raise RequestRefused(409, "no_aligner", "no aligner is configured", "set ALIGNMENT_BACKEND")

    unload = restart

    async def pause(self) -> QueueView:
        self.bus.publish(QueuePaused(paused=True))
        return QUEUE.model_copy(update={"paused": True})

    def watches(self) -> list[WatchView]:
        return [WatchView(path="/in", state="watching", recursive=False)]

    async def remove_watch(self, path: str) -> None:
        self.asked.append(path)

    def events(self, job_id: int | None) -> AbstractAsyncContextManager[AsyncIterator[DaemonEvent]]:
        return self.bus.subscribe(job_id)


class RunningApi:
    """A daemon's API on its socket, and a client for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.desk = DeskInMemory()
        self.stop = asyncio.Event()
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://steno", timeout=5
        )

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator["RunningApi"]:
        app = create_app(cast(DaemonService, self.desk), self.stop)
        serving = asyncio.create_task(serve(app, bind(self.path), stop=self.stop))
        try:
            async with self.client:
                yield self
        finally:
            self.stop.set()
            await asyncio.wait_for(serving, 2.0)
        assert not self.path.exists()

    async def say(self, raw: bytes) -> bytes:
        """Everything the daemon answers to these bytes until it hangs up."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer
