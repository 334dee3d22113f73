"""What the worker shell asks of an engine: the two Protocols, and how an engine says no.

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
"""32 ms: what the speech detector judges at once."""
LEAST_VOICE = 0.35
"""Below, Silero's speech ends."""


class EngineRefusal(StenodError):
    """The engine cannot do this, and is well: the request is bad or something is missing."""


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
    """Whether a sound stands out from what is always there, the same way. Of a whole chunk, not of its parts."""

    @property
    def end(self) -> float:
        return self.start + len(self.audio) / SAMPLE_RATE

    def after(self, seconds: float) -> "Chunk":
        """What is left of it once so much is heard."""
        done = int(seconds * SAMPLE_RATE)
        voice = None if self.voice is None else self.voice[done // WINDOW_SAMPLES :]
        return Chunk(self.start + done / SAMPLE_RATE, self.audio[done:], voice)

    def between(self, start: float, end: float) -> "Chunk":
        """A part of it, in seconds from the start of the recording; whole windows, and no more than there are."""
        first = max(0, round((start - self.start) * SAMPLE_RATE / WINDOW_SAMPLES))
        beyond = max(first, round((end - self.start) * SAMPLE_RATE / WINDOW_SAMPLES))
        voice = None if self.voice is None else self.voice[first:beyond]
        audio = self.audio[first * WINDOW_SAMPLES : beyond * WINDOW_SAMPLES]
        return Chunk(self.start + first * WINDOW_SAMPLES / SAMPLE_RATE, audio, voice)

    def likely_seconds(self, start: float, end: float) -> float | None:
        """How much voice is to be expected there, each moment counted as far as it is likely; None: not measured."""
        if self.voice is None:
            return None
        return sum(self._likely(start, end)) * WINDOW_SAMPLES / SAMPLE_RATE

    def voice_seconds(self, start: float, end: float) -> float | None:
        """How much of this part of the recording is a voice; None: not measured."""
        if self.voice is None:
            return None
        heard = sum(one >= LEAST_VOICE for one in self._likely(start, end))
        return round(heard * WINDOW_SAMPLES / SAMPLE_RATE, 3)

    def _likely(self, start: float, end: float) -> tuple[float, ...]:
        first, beyond = (round((at - self.start) * SAMPLE_RATE / WINDOW_SAMPLES) for at in (start, end))
        return (self.voice or ())[max(first, 0) : max(beyond, 0)]


@dataclass(frozen=True, slots=True)
class RawSegment:
    """A stretch of text an engine heard in a chunk, in seconds from the start of the recording."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


Told = list[tuple[Chunk, list[RawSegment]]]
"""Chunks that follow one another, each with what was heard in it."""


def nobody_listens() -> None:
    """For callers that need no sign of life."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How chunks are to be transcribed."""

    language: str
    task: Task = "transcribe"
    prompt: str | None = None
    alive: Callable[[], None] = nobody_listens
    """A sign of life, as often as the engine likes within a batch: cheap, and what it raises passes through."""


Downloading = Callable[[], None]
"""Called now and then while a model is fetched, so that the boot deadline knows."""


class Transcriber(Protocol):
    """Speech → text."""

    batch_size: int
    """How many chunks `transcribe` likes to have at once."""
    shows_life: bool
    """Whether `transcribe` calls `wanted.alive` so often within a batch that a batch of any size is no silence."""
    apart: bool
    """Whether a chunk's text and times are the same, to the last bit, whatever chunks are transcribed with it. Then
    the engine gets all of them, by `transcribe_each`; else batches that follow from the recording alone."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """Import the library, load and warm the model. Raises EngineRefusal (`needs_model`, `model_damaged`)."""

    def check(self, language: str | None, task: Task) -> None:
        """Raises EngineRefusal if the model cannot: `cannot_translate`, `language_not_supported`."""

    def find_language(self, audio: Audio) -> tuple[str, float]:
        """ISO 639-1 code and probability of what is spoken in at most 30 s of speech."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        """One list a chunk, in order, each stretch inside its chunk. A chunk without words gives an empty list."""

    def transcribe_each(self, chunks: Iterator[Chunk], wanted: DecodeOptions) -> Iterator[Told]:
        """All chunks of a recording, each with what was heard in it, in order, as soon as it is. Asked if `apart`.

        Finding chunks takes time of its own: `chunks` is asked in this thread, for as many as the engine likes.
        """

    def rest(self) -> None:
        """Between jobs: give caches back."""


SideBySide = Callable[..., Iterable[Any]]
"""Called as `map` is; the answers come in order."""


class Aligner(Protocol):
    """Known text + its audio → when each word is said."""

    side_by_side: SideBySide
    """`map`, or one that calls `align` for several segments at once, each in a thread of its own."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """As for a transcriber."""

    def check(self, language: str) -> None:
        """Raises EngineRefusal `no_alignment_model:xx` if words of this language cannot be timed."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        """The segment's words in order with times from the start of the recording, inside the segment.

        `audio` is the sound of the segment, from `segment.start` to `segment.end`. Words without an own time
        are interpolated and say so. Empty when nothing can be aligned; never changes the text.
        """

    def rest(self) -> None:
        """Between jobs: give caches back."""
