"""The same recording gives the same text, wherever workers die on it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import MEMO, TALK, silence, voice

from ipc.transcript import Segment
from ipc.worker_messages import FromWorker, Paused, SegmentsTranscribed, Transcribe
from workers.engine import Chunk, DecodeOptions, RawSegment, TranscribedChunks
from workers.shell import requests as worker_requests
from workers.shell.pausing import PausedWork


class Struck(Exception):
    """The worker is gone."""


class Listener:
    """Stands in for the pipe and the supervisor: keeps what is stored, and lets the worker die after a message."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.done_seconds = 0.0
        self.batches: list[float] = []
        self.messages_left = math.inf
        self.is_pause_wanted = False

    def enter(self, phase: str, done_seconds: float = 0.0) -> None:
        self._count()

    def step(self, done_seconds: float) -> None:
        self._count()

    def send(self, message: FromWorker) -> None:
        self._count()
        if isinstance(message, SegmentsTranscribed):
            self.segments += message.segments
            self.done_seconds = message.done_seconds
            self.batches.append(message.done_seconds)

    def _count(self) -> None:
        self.messages_left -= 1
        if self.messages_left < 0:
            raise Struck


class SociableTranscriber:
    """What it hears in a chunk depends on the chunk's bounds and on every other chunk of the batch."""

    apart = False
    shows_life = False

    def check(self, language: str | None, task: str) -> None:
        """Anything will do."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        company = " ".join(f"{chunk.start:.3f}-{chunk.end:.3f}" for chunk in chunks)
        wanted.alive()
        return [[RawSegment(chunk.start, chunk.end, f"{chunk.start:.3f} of {company}")] for chunk in chunks]


class ApartTranscriber(SociableTranscriber):
    """Hears each chunk by itself, and tells it at once."""

    apart = True

    def transcribe_each(self, chunks: Iterator[Chunk], wanted: DecodeOptions) -> Iterator[TranscribedChunks]:
        for chunk in chunks:
            [segments] = self.transcribe([chunk], wanted)
            yield [(chunk, segments)]


class LivelyTranscriber(SociableTranscriber):
    """Is heard from within a batch, as MLX is."""

    shows_life = True


ENGINES = [SociableTranscriber, ApartTranscriber, LivelyTranscriber]


@pytest.fixture(scope="module")
def six_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech with pauses of all kinds, some of it quiet."""
    talk, memo = voice(TALK), voice(MEMO)
    parts = [talk, silence(45), memo, talk // 300, silence(1), memo, talk, memo // 30, silence(2), talk, silence(100)]
    path = tmp_path_factory.mktemp("spool") / "audio.s16"
    path.write_bytes(np.concatenate(parts).astype("<i2").tobytes())
    return path


def work_on(pcm: Path, engine: SociableTranscriber, listener: Listener, batch_size: int) -> None:
    request = Transcribe(
        request_id=1,
        pcm_path=str(pcm),
        language="en",
        start_at_seconds=listener.done_seconds,
        first_segment_id=len(listener.segments),
    )
    list(worker_requests.transcribe(request, engine, batch_size, listener))  # type: ignore[arg-type]  # enough of both


@pytest.fixture(scope="module")
def undisturbed(six_minutes: Path) -> dict[tuple[str, int], Listener]:
    found = {}
    for engine in ENGINES:
        for batch_size in (1, 4, 8):
            listener = found[engine.__name__, batch_size] = Listener()
            work_on(six_minutes, engine(), listener, batch_size)
    return found


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(ENGINES),
    st.sampled_from([1, 4, 8]),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
)
def test_text_is_the_same_wherever_workers_die(
    six_minutes: Path,
    undisturbed: dict[tuple[str, int], Listener],
    engine: type[SociableTranscriber],
    batch_size: int,
    deaths_after_messages: list[int],
) -> None:
    listener = Listener()
    for messages in deaths_after_messages:
        listener.messages_left = messages
        try:
            work_on(six_minutes, engine(), listener, batch_size)
        except Struck:
            continue
        break
    else:
        listener.messages_left = math.inf
        work_on(six_minutes, engine(), listener, batch_size)
    assert listener.segments == undisturbed[engine.__name__, batch_size].segments


def test_an_engine_that_hears_chunks_apart_is_given_all_of_them_and_told_of_as_they_come(
    undisturbed: dict[tuple[str, int], Listener],
) -> None:
    texts = [undisturbed["ApartTranscriber", size].segments for size in (1, 4, 8)]
    assert texts[0] == texts[1] == texts[2] and len(texts[0]) > 10
    assert len(undisturbed["ApartTranscriber", 8].batches) == len(texts[0])
    assert len(undisturbed["SociableTranscriber", 8].batches) < len(texts[0])


class PausingListener(Listener):
    """Wants every transcription to pause, always."""

    def __init__(self) -> None:
        super().__init__()
        self.is_pause_wanted = True


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_text_is_the_same_with_a_pause_after_every_batch_and_another_recording_in_between(
    six_minutes: Path,
    undisturbed: dict[tuple[str, int], Listener],
    engine: type[SociableTranscriber],
    batch_size: int,
) -> None:
    heard, made, paused = PausingListener(), engine(), PausedWork()
    request = Transcribe(request_id=1, pcm_path=str(six_minutes), language="en")
    pauses = 0
    while isinstance(
        answer := paused.run(
            request,
            worker_requests.transcribe(request, made, batch_size, heard),  # type: ignore[arg-type]  # enough of both
        ),
        Paused,
    ):
        assert len(heard.batches) == (pauses := pauses + 1), "a batch lies between two pauses"
        other = Listener()
        work_on(six_minutes, made, other, batch_size)
        assert other.segments == heard.segments + other.segments[len(heard.segments) :]
        request = request.model_copy(
            update={
                "request_id": request.request_id + 1,
                "start_at_seconds": heard.done_seconds,
                "first_segment_id": len(heard.segments),
            }
        )
    assert answer.request_id == request.request_id == pauses + 1
    assert heard.segments == undisturbed[engine.__name__, batch_size].segments


def test_paused_work_is_dropped_by_another_request_for_its_sound_or_when_nobody_wants_it(six_minutes: Path) -> None:
    paused = PausedWork()
    for start_again in (True, False):
        heard = PausingListener()
        request = Transcribe(request_id=1, pcm_path=str(six_minutes), language="en")
        work = worker_requests.transcribe(request, SociableTranscriber(), 4, heard)  # type: ignore[arg-type]
        assert isinstance(paused.run(request, work), Paused)
        if start_again:
            paused.run(request, worker_requests.transcribe(request, SociableTranscriber(), 4, heard))  # type: ignore[arg-type]
            assert heard.batches[0] == heard.batches[1], "it began at the beginning"
        else:
            paused.drop(str(six_minutes))
        with pytest.raises(StopIteration):
            next(work)
