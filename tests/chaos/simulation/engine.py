"""What a virtual worker does for a request, and how long it takes on the virtual clock.

Runs in: the virtual day's process.

The words are those of the stub engines, so the oracle knows every result; the time that work takes is as long as the
worker says.
"""

import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import assert_never

import numpy as np
from fake_engines import EchoAligner

from chaos.daemon.oracle import CHUNK_SECONDS, RATE
from chaos.daemon.stub_engines import text_of
from ipc.transcript import Segment
from ipc.vocabulary import Phase
from ipc.worker_messages import (
    Align,
    AudioDecoded,
    Decode,
    FromWorker,
    Request,
    RequestFailed,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
    WordsAligned,
)
from supervisor.health.canary_run import CLIP_SECONDS

DECODE_SECONDS, CHUNK_WORK_SECONDS, SEGMENT_WORK_SECONDS = (1, 8), (5, 60), (1, 4)
CANARY_WORK_SECONDS = (0, 1)
CANARY_SAMPLES = round(CLIP_SECONDS * RATE)

Work = Callable[[Request, Phase, tuple[int, int]], Awaitable[None]]
"""Takes the time of one piece of work: if all goes well, between these two numbers of seconds. Raises Told."""


class Told(Exception):
    """Asked to give up what it does."""


class VirtualEngine:
    """One worker's."""

    def __init__(self, work: Work, say: Callable[[FromWorker], None]) -> None:
        self._work = work
        self._say = say

    async def serve(self, request: Request) -> FromWorker:
        """The last word on it. Raises Told."""
        match request:
            case Decode():
                return await self._decode(request)
            case Transcribe():
                return await self._transcribe(request)
            case Align():
                return await self._align(request)
            case _:
                assert_never(request)

    async def _decode(self, request: Decode) -> FromWorker:
        await self._work(request, "decoding", DECODE_SECONDS)
        try:
            return AudioDecoded(request_id=request.request_id, seconds=_decoded(request.path, Path(request.pcm_path)))
        except OSError as error:
            return RequestFailed(request_id=request.request_id, code="not_media", message=str(error), hint="none")

    async def _transcribe(self, request: Transcribe) -> FromWorker:
        sound = np.fromfile(request.pcm_path, dtype="<i2")
        length = round(CHUNK_SECONDS * RATE)
        number = request.first_segment_id
        # By its length, which no recording of the day has: another may have been decoded between its two requests.
        is_canary = len(sound) == CANARY_SAMPLES
        for first in range(round(request.start_at_seconds * RATE), len(sound), length):
            await self._work(request, "transcribing", CANARY_WORK_SECONDS if is_canary else CHUNK_WORK_SECONDS)
            part = sound[first : first + length]
            start, end = first / RATE, (first + len(part)) / RATE
            heard = Segment(
                id=number, start=start, end=end, text=text_of(part.astype(np.float32) / np.float32(32768))
            )
            self._say(SegmentsTranscribed(request_id=request.request_id, segments=(heard,), done_seconds=end))
            number += 1
        return TranscriptionFinished(request_id=request.request_id, speech_seconds=len(sound) / RATE)

    async def _align(self, request: Align) -> FromWorker:
        words = {}
        aligner = EchoAligner()
        aligner.pace_seconds, aligner.done = 0.0, 0
        for segment in request.segments:
            await self._work(request, "aligning", SEGMENT_WORK_SECONDS)
            words[segment.id] = aligner.align(np.zeros(0, dtype=np.float32), segment, request.language)
        return WordsAligned(request_id=request.request_id, words=words)


def _decoded(recording: str, pcm: Path) -> float:
    """Seconds of audio, on disk from now on. Raises OSError."""
    try:
        with wave.open(recording, "rb") as sound:
            samples = sound.readframes(sound.getnframes())
    except wave.Error:
        # The canary is no WAV file; it gets the length that it promises.
        samples = bytes(2 * CANARY_SAMPLES)
    half = Path(f"{pcm}.part")
    half.write_bytes(samples)
    half.rename(pcm)
    return len(samples) / 2 / RATE
