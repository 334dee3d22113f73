"""Following jobs to their end by the daemon's events, through a restart of the daemon if need be.

Runs in: the user's shell.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from client.connection import Daemon
from client.refusals import NoDaemon
from client.views import base_name, phase_words
from ipc.api_messages import JobView
from ipc.events import Event, JobChanged, JobProgressed
from ipc.status_views import RunningView

PATIENCE_SECONDS = 60.0
"""How long a daemon that was there may be away: a service manager brings it back within ten."""
BETWEEN_TRIES_SECONDS = 0.5

FINISHED = {"done", "failed", "cancelled"}

Heard = Callable[[Event], None]


def follow(
    daemon: Daemon, job_ids: Iterable[int], heard: Heard, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[JobView]:
    """Each job once it is finished, in the order in which they finish. `heard` gets every event on the way.

    Raises Refusal for a job that does not exist, NoDaemon when the daemon is away for longer than its patience.
    """
    pending = set(job_ids)
    last_seen: float | None = None
    while pending:
        try:
            for event in _since_now(daemon, sorted(pending)):
                last_seen = time.monotonic()
                heard(event)
                if isinstance(event, JobChanged) and event.job.id in pending and event.job.status in FINISHED:
                    pending.discard(event.job.id)
                    yield event.job
                    if not pending:
                        return
        except NoDaemon:
            if last_seen is None or time.monotonic() - last_seen > patience_seconds:
                raise
        # Nothing wakes us when a socket appears; a stream that ended has its daemon stopping.
        time.sleep(BETWEEN_TRIES_SECONDS)


def _since_now(daemon: Daemon, job_ids: list[int]) -> Iterator[Event]:
    """How the jobs stand, then everything that happens: subscribed first, so nothing slips between."""
    with daemon.events() as events:
        for job_id in job_ids:
            yield JobChanged(job=daemon.job(job_id))
        yield from events


class ProgressBars:
    """One bar for each running job of ours on a terminal; silent elsewhere. Pass it to `follow` as `heard`."""

    def __init__(self, console: Console, job_ids: Iterable[int]) -> None:
        self._ours = frozenset(job_ids)
        self._tasks: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[phase]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case JobChanged(job=job) if job.id in self._ours:
                self._stands(job)
            case JobProgressed(running=running) if running.id in self._ours:
                self._moves(running)
            case _:
                pass

    def _stands(self, job: JobView) -> None:
        if job.status in FINISHED:
            if (task := self._tasks.pop(job.id, None)) is not None:
                self._progress.remove_task(task)
            return
        self._progress.update(self._task(job.id, job.path), phase=job.note or phase_words(job.status, None))

    def _moves(self, running: RunningView) -> None:
        task = self._task(running.id, running.path)
        self._progress.update(
            task,
            # Without the length known the bar only shows that something happens.
            total=running.audio_seconds,
            completed=min(running.done_seconds, running.audio_seconds or 0.0),
            phase=phase_words(running.status, running.phase),
        )

    def _task(self, job_id: int, path: str) -> TaskID:
        if job_id not in self._tasks:
            self._tasks[job_id] = self._progress.add_task(base_name(path), total=None, phase="")
        return self._tasks[job_id]
