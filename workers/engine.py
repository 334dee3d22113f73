"""The interface of an engine: its two Protocols, and its refusal.

Runs in: worker. An engine is a class without arguments, named by import path; it imports its library in `load`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ipc.errors import StenodError
from ipc.transcript import Segment, Word
from ipc.vocabulary import Task
from ipc.worker_messages import WorkerSetup

SAMPLE_RATE = 16_000
"""Samples a second of every piece of audio in stenod; always mono."""

Audio = npt.NDArray[np.float32]
"""Samples from -1 to 1, shape (n,)."""

WINDOW_SAMPLES = 512
"""32 ms: one window of the speech detector."""
LEAST_VOICE = 0.35
"""Below this probability, Silero ends speech."""


class EngineRefusal(StenodError):
    """The engine works but cannot do this: the request is bad or something is missing."""


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """What an engine has after `load`."""

    model: str
    """As a person would name it."""
    device: str
    """`cpu`, `metal` or `cuda`."""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most 30 s of speech, cut in silence."""

    start: float
    """Seconds from the start of the recording."""
    audio: Audio
    voice: tuple[float, ...] | None = None
    """The probability of speech, 0 to 1, for every 32 ms of it; None: not measured."""
    audible: tuple[bool, ...] | None = None
    """For the same windows, whether a sound is above the background. Of a whole chunk, not of its parts."""

    @property
    def end(self) -> float:
        return self.start + len(self.audio) / SAMPLE_RATE

    def after(self, seconds: float) -> "Chunk":
        """The rest of the chunk from this time on."""
        done = int(seconds * SAMPLE_RATE)
        voice = None if self.voice is None else self.voice[done // WINDOW_SAMPLES :]
        return Chunk(self.start + done / SAMPLE_RATE, self.audio[done:], voice)

    def between(self, start: float, end: float) -> "Chunk":
        """A part of it, in seconds from the start of the recording; whole windows, within the chunk."""
        first = max(0, round((start - self.start) * SAMPLE_RATE / WINDOW_SAMPLES))
        beyond = max(first, round((end - self.start) * SAMPLE_RATE / WINDOW_SAMPLES))
        voice = None if self.voice is None else self.voice[first:beyond]
        audio = self.audio[first * WINDOW_SAMPLES : beyond * WINDOW_SAMPLES]
        return Chunk(self.start + first * WINDOW_SAMPLES / SAMPLE_RATE, audio, voice)

    def likely_seconds(self, start: float, end: float) -> float | None:
        """The expected seconds of voice there: the sum of the probabilities; None: not measured."""
        if self.voice is None:
            return None
        return sum(self._likely(start, end)) * WINDOW_SAMPLES / SAMPLE_RATE

    def voice_seconds(self, start: float, end: float) -> float | None:
        """Seconds of voice in this part of the recording; None: not measured."""
        if self.voice is None:
            return None
        heard = sum(one >= LEAST_VOICE for one in self._likely(start, end))
        return round(heard * WINDOW_SAMPLES / SAMPLE_RATE, 3)

    def _likely(self, start: float, end: float) -> tuple[float, ...]:
        first, beyond = (round((at - self.start) * SAMPLE_RATE / WINDOW_SAMPLES) for at in (start, end))
        return (self.voice or ())[max(first, 0) : max(beyond, 0)]


@dataclass(frozen=True, slots=True)
class RawSegment:
    """A segment that an engine transcribed in a chunk, in seconds from the start of the recording."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


TranscribedChunks = list[tuple[Chunk, list[RawSegment]]]
"""Consecutive chunks, each with its segments."""


def ignore_progress() -> None:
    """For callers that need no sign of life."""


def never() -> bool:
    """For callers that do not pause."""
    return False


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """The options of a transcription."""

    language: str
    task: Task = "transcribe"
    prompt: str | None = None
    alive: Callable[[], None] = ignore_progress
    """Reports progress, at any time within a batch: cheap; its exceptions must propagate."""
    is_pausing: Callable[[], bool] = never
    """For `transcribe_each`: whether to begin nothing new, and to yield, even an empty list, as soon as other chunks
    can be decoded. The generator may then be left for a while, and another recording is transcribed in between."""


Downloading = Callable[[], None]
"""Called now and then while a model is downloaded, to extend the boot deadline."""


class Transcriber(Protocol):
    """Speech → text."""

    batch_size: int
    """The preferred number of chunks for one call of `transcribe`."""
    shows_life: bool
    """Whether `transcribe` calls `wanted.alive` often enough within a batch for a batch of any size."""
    apart: bool
    """Whether a chunk's text and times are the same, to the last bit, with any other chunks in the batch. If so, the
    engine gets all chunks by `transcribe_each`; otherwise batches that depend on the recording alone."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """Import the library, load and warm the model. Raises EngineRefusal (`needs_model`, `model_damaged`)."""

    def check(self, language: str | None, task: Task) -> None:
        """Raises EngineRefusal if the model cannot: `cannot_translate`, `language_not_supported`."""

    def find_language(self, audio: Audio) -> tuple[str, float]:
        """ISO 639-1 code and probability of what is spoken in at most 30 s of speech."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        """One list for each chunk, in order, each segment inside its chunk. A chunk without words gives an empty
        list."""

    def transcribe_each(self, chunks: Iterator[Chunk], wanted: DecodeOptions) -> Iterator[TranscribedChunks]:
        """All chunks of a recording, each with its segments, in order, as soon as they are ready. Called if `apart`.

        Finding chunks takes time: read `chunks` in this thread, as many as the engine needs.
        """

    def rest(self) -> None:
        """Between jobs: free caches."""


SideBySide = Callable[..., Iterable[Any]]
"""Called like `map`; the answers come in order."""


class Aligner(Protocol):
    """Known text and its audio → the times of each word."""

    side_by_side: SideBySide
    """`map`, or a function that calls `align` for several segments in parallel, each in its own thread."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """As for a transcriber."""

    def check(self, language: str) -> None:
        """Raises EngineRefusal `no_alignment_model:xx` if words of this language cannot be timed."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        """The segment's words in order with times from the start of the recording, inside the segment.

        `audio` is the sound of the segment, from `segment.start` to `segment.end`. Words without their own time are
        interpolated and marked so. Empty when nothing can be aligned; never changes the text.
        """

    def rest(self) -> None:
        """Between jobs: free caches."""
