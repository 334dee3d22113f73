"""A WorkerHandle with a fake engine, running for the length of a block.

Runs in: the test process.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import DeadlineSettings, RestartSettings, Settings, WorkerSettings
from ipc.status_views import WorkerView
from ipc.transcript import Segment
from ipc.vocabulary import Role
from ipc.worker_messages import Align, FromWorker, Request, Transcribe, WorkerSetup
from supervisor.system.reload import LiveSettings
from supervisor.worker.handle import WorkerHandle
from supervisor.worker.spawner import Spawner

BRIEF = Settings(
    deadlines=DeadlineSettings(
        boot_seconds=10.0, progress_seconds=1.5, cancel_seconds=1.0, stop_seconds=0.6, alignment_seconds=20.0
    ),
    restarts=RestartSettings(first_delay_seconds=0.01, longest_delay_seconds=0.05, probe_seconds=60.0),
    workers=WorkerSettings(),
)
"""Impatient: what takes minutes in the field takes a second here."""

ROLES: tuple[Role, ...] = ("transcriber", "aligner")


def setup_for(role: Role, fake: str, folder: Path, *, model: str | None = None, name: str = "fake") -> WorkerSetup:
    """`fake` without its role: `Echo`, `SegfaultOnCall` …"""
    return WorkerSetup(
        role=role,
        engine=name,
        engine_path=f"fake_engines:{fake}{role.capitalize()}",
        model=model,
        models_folder=str(folder),
        log_level="error",
    )


def request_for(role: Role, pcm: Path) -> Request:
    """Three chunks or three segments of work."""
    if role == "transcriber":
        return Transcribe(request_id=0, pcm_path=str(pcm), language="en")
    segments = tuple(
        Segment(id=number, start=number * 0.5, end=number * 0.5 + 0.5, text=f"segment number {number}")
        for number in range(3)
    )
    return Align(request_id=0, pcm_path=str(pcm), language="en", segments=segments)


@asynccontextmanager
async def kept(
    setups: Sequence[WorkerSetup],
    folder: Path,
    settings: Settings | LiveSettings = BRIEF,
    views: list[WorkerView] | None = None,
    model_folders: Sequence[Path] = (),
) -> AsyncIterator[WorkerHandle]:
    """The running WorkerHandle; always stopped at the end."""
    spawner = Spawner()
    views = [] if views is None else views
    handle = WorkerHandle(
        setups,
        settings if isinstance(settings, LiveSettings) else LiveSettings(settings),
        folder / "crashes",
        spawner,
        views.append,
        model_folders=model_folders,
        jitter=lambda: 0.0,
    )
    running = asyncio.create_task(handle.run())
    try:
        yield handle
    finally:
        await handle.stop()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
        spawner.close()


async def ask(
    handle: WorkerHandle,
    request: Request,
    *,
    during_job: int | None = 7,
    engine: str | None = None,
    model: str | None = None,
) -> list[FromWorker]:
    """All replies to a request."""
    async with handle.request(
        request, deadline_seconds=20.0, during_job=during_job, engine=engine, model=model
    ) as replies:
        return [reply async for reply in replies]
