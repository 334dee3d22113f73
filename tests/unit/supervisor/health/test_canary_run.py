"""The canary's patience with a worker is not what others left of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ipc.transcript import Segment
from ipc.worker_messages import (
    AudioDecoded,
    Decode,
    FromWorker,
    Request,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
)
from supervisor.health.canary_run import CLIP_SECONDS, CLIP_TEXT, CanaryFlight
from supervisor.worker.handle import WorkerHandle

PATIENCE_SECONDS = 2.0


class LentLate:
    """Stands where a keeper stands; it has the worker only when more than half of the time is over."""

    role = "transcriber"
    view = SimpleNamespace(engine="engine", state="ready")

    def __init__(self) -> None:
        self.deadlines: dict[str, float] = {}

    def in_hand(self, pcm: Path) -> Any:
        return nullcontext()

    @asynccontextmanager
    async def request(self, request: Request, *, deadline_seconds: float, engine: str) -> AsyncIterator[Any]:
        self.deadlines[request.kind] = deadline_seconds
        if isinstance(request, Decode):
            await asyncio.sleep(0.6 * PATIENCE_SECONDS)
        yield self._replies(request)

    async def _replies(self, request: Request) -> AsyncIterator[FromWorker]:
        if isinstance(request, Decode):
            yield AudioDecoded(request_id=0, seconds=CLIP_SECONDS)
        if isinstance(request, Transcribe):
            heard = Segment(id=0, start=0.0, end=CLIP_SECONDS, text=CLIP_TEXT)
            yield SegmentsTranscribed(request_id=0, segments=(heard,), done_seconds=CLIP_SECONDS)
            yield TranscriptionFinished(request_id=0, speech_seconds=CLIP_SECONDS)


def test_a_worker_that_the_canary_waited_for_is_not_killed_for_the_little_time_that_was_left(tmp_path: Path) -> None:
    handle = LentLate()
    flight = CanaryFlight(
        cast(WorkerHandle, handle), None, language="en", deadline_seconds=PATIENCE_SECONDS, folder=tmp_path / "canary"
    )
    assert asyncio.run(flight.run()).healthy
    assert handle.deadlines["transcribe"] >= PATIENCE_SECONDS / 2
