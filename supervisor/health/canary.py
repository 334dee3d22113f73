"""A short recording sent through both warm workers: the proof that what is handed over now would come out.

Runs in: supervisor.

It is no job: nothing of it is stored, a death in it is charged to no recording, and it does not stand in line behind
one. A worker that is busy is proof enough: had it stood still for `deadlines.progress_seconds`, its handle would have
ended it.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from ipc.status_views import CanaryView, WorkerView
from supervisor.health.canary_run import CLIP_SECONDS, Busy, CanaryFlight
from supervisor.system.clock import iso_time
from supervisor.system.reload import LiveSettings
from supervisor.worker.handle import WorkerHandle

log = structlog.get_logger()

BAD_NEWS_SECONDS = 30.0
"""How long bad news is believed, if good news is for longer. Asking a worker that dies of it more often could, by the
asking alone, make it count as broken."""


class Canary:
    """One runs at a time; a client that asks meanwhile gets the same answer."""

    def __init__(
        self, transcriber: WorkerHandle, aligner: WorkerHandle | None, settings: LiveSettings, spool: Path
    ) -> None:
        self._transcriber = transcriber
        self._aligner = aligner
        self._settings = settings
        self._folder = spool / "canary"
        self._flying: asyncio.Task[CanaryView] | None = None
        self._last: CanaryView | None = None
        self._stale_at = 0.0
        """Loop time."""
        self._seen: tuple[int | None, ...] = ()
        """The processes that the last answer speaks for."""
        self._language: str | None = None
        """The language that it speaks for."""

    async def ask(self, *, fresh: bool) -> CanaryView | None:
        """The last answer while it holds, else a new one; None: there is none, and none can be had now.

        Without `fresh` it flies only where both workers are ready: it wakes none that is unloaded and waits for none
        that starts. With `fresh` it does both, for `health.canary_seconds`.
        """
        if self._flying is None:
            views = [handle.view for handle in (self._transcriber, self._aligner) if handle is not None]
            if not fresh and self._holds(views):
                return self._last
            if any(view.state == "busy" for view in views) or self._transcriber.availability.is_promised:
                return _busy(views)
            if not fresh and any(view.state != "ready" for view in views):
                return self._last
            self._flying = asyncio.create_task(self._fly(), name="canary")
        # Shielded: who hangs up must not take the answer from the others.
        return await asyncio.shield(self._flying)

    def _holds(self, views: Sequence[WorkerView]) -> bool:
        if self._last is None or self._language != self._settings.current.language:
            return False
        same_processes = self._seen == tuple(view.pid for view in views)
        if self._last.healthy and same_processes and self._may_be_unloaded():
            return True  # a monitor that asks every minute must not keep warm what wants to rest
        if self._last.healthy and not same_processes:
            return False
        return asyncio.get_running_loop().time() < self._stale_at

    def _may_be_unloaded(self) -> bool:
        workers = self._settings.current.workers
        own = (workers.transcriber_keep_alive, workers.aligner_keep_alive)
        return any((workers.keep_alive if seconds is None else seconds) >= 0 for seconds in own)

    async def _fly(self) -> CanaryView:
        settings, handles = self._settings.current, (self._transcriber, self._aligner)
        flight = CanaryFlight(
            self._transcriber,
            self._aligner,
            # A model for one language writes English as that language; that there is text is the question.
            language=settings.language or "en",
            deadline_seconds=settings.health.canary_seconds,
            folder=self._folder,
        )
        try:
            answer = await flight.run()
        except Busy:
            return _busy([handle.view for handle in handles if handle is not None])
        finally:
            self._flying = None
        holds_seconds = settings.health.canary_fresh_seconds
        if not answer.healthy:
            holds_seconds = min(holds_seconds, BAD_NEWS_SECONDS)
        self._last, self._language = answer, settings.language
        self._stale_at = asyncio.get_running_loop().time() + holds_seconds
        self._seen = tuple(handle.view.pid for handle in handles if handle is not None)
        tell = log.info if answer.healthy else log.warning
        tell(
            "canary_came_through" if answer.healthy else "canary_fell",
            detail=answer.detail,
            words=answer.words,
            transcribe_seconds=answer.transcribe_seconds,
            align_seconds=answer.align_seconds,
        )
        return answer


def _busy(views: Sequence[WorkerView]) -> CanaryView:
    role = next((view.role for view in views if view.state == "busy"), "transcriber")
    return CanaryView(
        healthy=True,
        detail=f"skipped: the {role} is busy and making progress",
        at=iso_time(time.time()),
        audio_seconds=CLIP_SECONDS,
    )
