"""Which job is next: what is remembered from one claim to the next, and why none can start.

Runs in: supervisor.

A job that was deferred waits a while, and one loaded model is preferred only for a while. What blocks
all jobs, or of those that want one model, is said in words for people.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from config.settings import MediaSettings
from ipc.vocabulary import Priority
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.store.job import Job
from supervisor.store.schedule import LONGEST_SERVED_SECONDS, Model, SchedulingHints, Shares
from supervisor.worker.handle import WorkerHandle
from supervisor.worker.state_machine import ABLE

PAUSED = "the queue is paused; `steno resume` continues it"
LONGEST_SETBACK_SECONDS = 600.0
JOBS_AT_ONCE = 2
"""One at the transcriber, and one whose last words are still being timed or written."""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What is in the way of waiting jobs at the transcriber."""

    of_all: str | None = None
    """None: at least some may start."""
    of_models: Mapping[str | None, str] = field(default_factory=dict)
    """Model, as jobs name it, → why no job that wants it may start; None: jobs that name none."""


def transcriber_obstacles(handle: WorkerHandle) -> Obstacles:
    """A broken worker keeps no job waiting whose own model, or whose engine's stand-in, may still be had."""
    view, fallback = handle.view, handle.fallback_engine
    stands_in = fallback is not None and handle.refusal(fallback) is None
    of_models = {
        model: f"{no.message}: {no.hint}"
        if model is not None
        else f"the transcriber is broken: {no.message}: {no.hint}"
        for model, no in handle.availability.unavailable_because().items()
        if not (stands_in and no.is_for_the_fallback)
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
        return silent.in_full
    except OSError as error:
        return f"{spool} cannot be looked at: {error.strerror}; restart the daemon once it is there again"
    if free_mb >= floor_mb:
        return None
    return f"only {free_mb} MB are free where {spool} is; media.free_disk_floor_mb keeps {floor_mb} MB"


@dataclass(slots=True)
class Lane:
    """Jobs of some priorities, which wait for one another and for no job of another lane."""

    priorities: frozenset[Priority]
    at_transcriber: int = 0
    in_flight: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more job may start."""
        return self.at_transcriber == 0 and self.in_flight < JOBS_AT_ONCE


class DispatchOrder:
    """Knows what decides who is next; the line itself is in the database."""

    def __init__(self, transcriber: WorkerHandle) -> None:
        self._transcriber = transcriber
        self._set_back: dict[int, float] = {}
        """Job → loop time before which it is not started again, because it had to wait a moment ago."""
        self._tries: Counter[int] = Counter()
        """Job → how often in a row it had to wait for longer."""
        self._served: frozenset[Model] = frozenset()
        self._served_since = math.inf
        """Loop time of the first claim in a row for the model with these names; infinite: there was none."""
        self._exchanged_at = -math.inf
        """Loop time at which a running job last lost its model to an urgent job's."""
        self._shares = Shares()
        self.lanes = (Lane(frozenset({"now"})), Lane(frozenset({"normal", "archive"})))

    def lane_of(self, job: Job) -> Lane:
        """The lane that the job is in."""
        return next(lane for lane in self.lanes if job.priority in lane.priorities)

    @property
    def room_for(self) -> frozenset[Priority]:
        """The priorities whose jobs may start now."""
        return frozenset[Priority]().union(*(lane.priorities for lane in self.lanes if lane.has_room))

    @property
    def now(self) -> SchedulingHints:
        """What decides at this moment."""
        availability, now = self._transcriber.availability, asyncio.get_running_loop().time()
        return SchedulingHints(
            own=availability.override_names,
            loaded=availability.loaded_names,
            missing=frozenset(transcriber_obstacles(self._transcriber).of_models),
            deferred=frozenset(job_id for job_id, until in self._set_back.items() if until > now),
            oldest_decides=now - self._served_since >= LONGEST_SERVED_SECONDS,
            priorities=self.room_for,
            loaded_only=self._another_runs and now - self._exchanged_at < LONGEST_SERVED_SECONDS,
            shares=self._shares,
        )

    @property
    def _another_runs(self) -> bool:
        """Whether an urgent job that wants another model would take that of a running job away."""
        return any(lane.at_transcriber and "now" not in lane.priorities for lane in self.lanes)

    def claimed(self, job: Job, turn: SchedulingHints) -> None:
        """This job was started."""
        self._shares = self._shares.after(job.priority)
        if self._another_runs and job.options.model not in turn.loaded:
            self._exchanged_at = asyncio.get_running_loop().time()
        if job.options.model not in self._served:
            self._served = turn.names_of(job.options.model)
            self._served_since = asyncio.get_running_loop().time()

    def nobody_claimed(self) -> None:
        """No job could start: no job is kept waiting by the model that is served."""
        self._served, self._served_since = frozenset(), math.inf

    def deferred(self, job_ids: Iterable[int], seconds: float) -> None:
        """They are not started for this long."""
        now = asyncio.get_running_loop().time()
        still = {job_id: until for job_id, until in self._set_back.items() if until > now}
        self._set_back = still | dict.fromkeys(job_ids, now + seconds)

    def pause_after(self, job_id: int, seconds: float, *, grows: bool) -> float:
        """How long the job is not started again; twice as long as the last time where each try costs something."""
        if not grows:
            return seconds
        self._tries[job_id] += 1
        return float(min(seconds * 2.0 ** min(self._tries[job_id] - 1, 10), LONGEST_SETBACK_SECONDS))

    def forget_deferrals(self) -> None:
        """Whatever they had to wait for may be fixed."""
        self._set_back.clear()
        self._tries.clear()
