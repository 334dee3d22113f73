"""Speech of any length with its text: two voices in a loop, each time a little different.

Runs in: the benchmark.

The same seconds and seed give the same sound, to the sample: pauses, loudness, speed and noise are drawn.
"""

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
SLOWEST, FASTEST = 0.9, 1.1
SOFTEST, LOUDEST = 0.4, 1.0
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.4, 4.0
NOISE = 30.0
"""Standard deviation of the noise, in steps of 16 bit: 60 dB below full scale, a quiet room."""

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Voice:
    """One recording and what is said in it."""

    samples: Samples
    """16 kHz mono."""
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A voice as it is heard once, with the pause after it."""

    samples: Samples
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV file and what is said in it."""

    path: Path
    text: str
    seconds: float


def pieces(voices: Sequence[Voice], seconds: float, seed: int) -> Iterator[Piece]:
    """Pieces that together last exactly so long. No voice is cut off: where none fits any more, the room is quiet."""
    drawn = np.random.default_rng(seed)
    left = round(seconds * SAMPLE_RATE)
    while left:
        speed = drawn.uniform(SLOWEST, FASTEST)
        fitting = [voice for voice in voices if _stretched_length(voice, speed) <= left]
        if not fitting:
            yield Piece(_noisy(np.zeros(left), drawn), "")
            return
        voice = fitting[drawn.integers(len(fitting))]
        said = _stretched(voice, speed) * drawn.uniform(SOFTEST, LOUDEST)
        pause = round(drawn.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) * SAMPLE_RATE)
        sound = np.pad(said, (0, min(pause, left - len(said))))
        yield Piece(_noisy(sound, drawn), voice.text)
        left -= len(sound)


def record(path: Path, voices: Sequence[Voice], seconds: float, seed: int = 4) -> Recording:
    """The pieces as a WAV file, written one by one: three hours need no more memory than one minute."""
    texts = []
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for piece in pieces(voices, seconds, seed):
            file.writeframes(piece.samples.astype("<i2").tobytes())
            texts.append(piece.text)
    return Recording(path, " ".join(text for text in texts if text), seconds)


def _stretched_length(voice: Voice, speed: float) -> int:
    return int((len(voice.samples) - 1) / speed) + 1


def _stretched(voice: Voice, speed: float) -> npt.NDArray[np.float64]:
    """Played faster or slower, and so higher or lower: linear interpolation between the samples."""
    at = np.arange(_stretched_length(voice, speed)) * speed
    sound: npt.NDArray[np.float64] = np.interp(at, np.arange(len(voice.samples)), voice.samples)
    return sound


def _noisy(sound: npt.NDArray[np.float64], drawn: np.random.Generator) -> Samples:
    return (sound + drawn.normal(0.0, NOISE, len(sound))).round().clip(-32768, 32767).astype(np.int16)
