"""A short recording sent through both warm workers: proof that a job submitted now would succeed.

Runs in: supervisor.

It is not a job: nothing of it is stored, a crash in it counts against no recording, and it does not wait in the
queue. A busy worker is proof enough: after `deadlines.progress_seconds` without progress, its handle would have ended
it.
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
"""How long a failed answer is cached, if a good one is cached for longer. If the canary itself crashes a worker, more
frequent canaries would make it count as broken."""


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
        """The processes that the last answer is about."""
        self._language: str | None = None
        """The language that it speaks for."""

    async def ask(self, *, fresh: bool) -> CanaryView | None:
        """The last answer while it is fresh, otherwise a new one; None: there is none, and no canary can run now.

        Without `fresh` it runs only if both workers are ready: it does not load an unloaded worker or wait for a
        starting one. With `fresh` it does both, for at most `health.canary_seconds`.
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
        # Shielded: a client that disconnects must not cancel the answer for the others.
        return await asyncio.shield(self._flying)

    def _holds(self, views: Sequence[WorkerView]) -> bool:
        if self._last is None or self._language != self._settings.current.language:
            return False
        same_processes = self._seen == tuple(view.pid for view in views)
        if self._last.healthy and same_processes and self._may_be_unloaded():
            return True  # a monitor that polls every minute must not keep an idle worker loaded
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
            # A model for one language transcribes English as that language; only the existence of text matters.
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
