"""Why no job can start now, or none that wants a certain model, in words for people.

Runs in: supervisor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from config.settings import MediaSettings
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.worker.circuit_breaker import BROKEN
from supervisor.worker.handle import WorkerKeeper
from supervisor.worker.state_machine import ABLE

PAUSED = "the queue is paused; `steno resume` lets it go on"


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What is in the way of waiting jobs at the transcriber."""

    of_all: str | None = None
    """None: at least some may start."""
    of_models: Mapping[str | None, str] = field(default_factory=dict)
    """Model, as jobs name it, → why no job that wants it may start; None stands for jobs that name none."""


def transcriber_obstacles(keeper: WorkerKeeper) -> Obstacles:
    """A broken worker keeps nobody waiting whose own model, or whose engine's stand-in, may still be had."""
    view, fallback = keeper.view, keeper.fallback_engine
    stands_in = fallback is not None and keeper.refusal(fallback) is None
    of_models = {
        model: f"{no.message}: {no.hint}"
        if model is not None
        else f"the transcriber is broken: {no.message}: {no.hint}"
        for model, no in keeper.offer.refusals().items()
        if not (stands_in and no.code == BROKEN)
    }
    if view.state in ABLE or view.state == "broken":
        return Obstacles(of_models=of_models)
    of_all = f"the transcriber is {view.state.replace('_', ' ')}" + (f": {view.note}" if view.note else "")
    return Obstacles(of_all=of_all, of_models=of_models)


async def disk_obstacle(spool: Path, media: MediaSettings) -> str | None:
    """Asks the disk where decoded audio goes, which may take a while."""
    floor_mb = media.free_disk_floor_mb
    try:
        free_mb = (await disks().look(spool, lambda: psutil.disk_usage(str(spool)))).free // 1_000_000
    except DiskNotAnswering as silent:
        return f"{silent.message}; {silent.hint}"
    except OSError as error:
        return f"{spool} cannot be looked at: {error.strerror}; restart the daemon once it is there again"
    if free_mb >= floor_mb:
        return None
    return f"only {free_mb} MB are free where {spool} is; media.free_disk_floor_mb keeps {floor_mb} MB"
