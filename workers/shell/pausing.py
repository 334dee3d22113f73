"""Work that pauses for a more urgent request: where it may, and what is kept until it continues.

Runs in: worker.

Work is a generator. It yields only when a pause is wanted and possible: the request that would continue it; and it is
sent the one that does. The result is the same as without a pause, and nothing is computed twice.
"""

from collections.abc import Generator
from typing import Any

import structlog

from ipc.worker_messages import Decode, FinalReply, Paused, Transcribe
from workers.heartbeat import Heartbeat

Pausable = Decode | Transcribe
Work = Generator[Pausable, Any, FinalReply]
"""Runs until the request is done; yields where it pauses."""
MOST_PAUSED = 2
"""The oldest is dropped when there are more: its job continues from its last stored segment."""
log = structlog.get_logger()


class PausedWork:
    """What waits for its turn, by the PCM it works on. Only for the worker's main thread."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Pausable, Work]] = {}

    def run(self, request: Pausable, fresh: Work) -> FinalReply:
        """Continues the work that this request continues, or begins `fresh`, until it is done or pauses."""
        kept = self._take(request)
        try:
            continuing = fresh.send(None) if kept is None else kept.send(request)
        except StopIteration as over:
            reply: FinalReply = over.value
            return reply.model_copy(update={"request_id": request.request_id})
        self._kept[continuing.pcm_path] = continuing, fresh if kept is None else kept
        while len(self._kept) > MOST_PAUSED:
            self.drop(next(iter(self._kept)))
        return Paused(request_id=request.request_id)

    def drop(self, pcm_path: str) -> None:
        """Ends what is paused there, if anything is."""
        if (kept := self._kept.pop(pcm_path, None)) is not None:
            _end(kept[1])

    def _take(self, request: Pausable) -> Work | None:
        """None: nothing is paused there, or something else, which is dropped."""
        if (kept := self._kept.pop(request.pcm_path, None)) is None:
            return None
        continuing, work = kept
        if continuing == request.model_copy(update={"request_id": continuing.request_id}):
            return work
        _end(work)
        return None


def _end(work: Work) -> None:
    try:
        work.close()
    except Exception:  # No caller waits for it.
        log.warning("paused_work_not_ended_well", exc_info=True)


class Border:
    """The place between two batches: there a transcription may pause.

    After each pause at least one batch is done before the next.
    """

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._moved = False
        self._engine_asks = False
        self._is_near = False

    def is_near(self) -> bool:
        """For an engine with several batches in progress: it begins none, and yields once one is done."""
        self._engine_asks = True
        self._is_near = self._moved and self._heartbeat.is_pause_wanted
        return self._is_near

    def is_reached(self, chunks_done: int) -> bool:
        """Whether to pause now that the engine has yielded `chunks_done` chunks."""
        self._moved = self._moved or chunks_done > 0
        return self._heartbeat.is_pause_wanted and (self._is_near or not self._engine_asks)

    def cross(self) -> None:
        """The pause is over."""
        self._moved = self._is_near = False
