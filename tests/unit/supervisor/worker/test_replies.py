"""Deadlines of a request: kept with a worker that dawdles, and never charged with our own sleep.

Runs in: the test process, on virtual time.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn, cast

import pytest
from chaos.simulation.event_loop import VirtualLoop

from ipc.worker_messages import Progress, Transcribe, TranscriptionFinished
from supervisor.worker.death import KillReason
from supervisor.worker.replies import Replies

REQUEST = Transcribe(request_id=7, pcm_path="/x/audio.s16")
BEAT_SECONDS = 30.0


class Lost(Exception):
    """What the asker is told."""


class BeatingWorker:
    """Says something every half minute, and is done after so many times."""

    def __init__(self, beats: int) -> None:
        self._beats = beats

    def send(self, message: object) -> None:
        """It knows what to do."""

    async def receive(self) -> Progress | TranscriptionFinished:
        await asyncio.sleep(BEAT_SECONDS)
        self._beats -= 1
        if self._beats:
            return Progress(request_id=7, phase="transcribing")
        return TranscriptionFinished(request_id=7, speech_seconds=1.0)


async def lost(verdict: KillReason | None) -> NoReturn:
    raise Lost(verdict and verdict.words)


def replies_of(beats: int, naps: Sequence[float] = ()) -> int:
    """How many come within ten minutes in all, two between any of them; at `naps` we sleep for half an hour."""
    loop = VirtualLoop()

    async def hear() -> int:
        process = cast(Any, BeatingWorker(beats))
        replies = Replies(process, REQUEST, deadline_seconds=600.0, progress_seconds=120.0, lost=lost)
        for nap_at in naps:
            loop.call_at(nap_at, loop.oversleep, 1800.0)
        return len([reply async for reply in replies])

    try:
        return loop.run_until_complete(hear())
    finally:
        loop.close()


def test_a_worker_that_moves_but_never_ends_is_given_up() -> None:
    assert replies_of(beats=19) == 19
    with pytest.raises(Lost, match="not done after 600 s"):
        replies_of(beats=21)


@pytest.mark.parametrize("nap_at", [10.0, 100.0, 290.0, 560.0])
def test_half_an_hour_in_which_we_slept_does_not_end_a_request_that_has_ten_minutes(nap_at: float) -> None:
    assert replies_of(beats=15 if nap_at < 300 else 19, naps=[nap_at]) > 0
