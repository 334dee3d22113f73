"""`make bench SPEECH=DIR`: a folder of real speech, what is said in it, and when. README.md beside this says how
to build one.

Runs in: the benchmark. Sound is FLAC or WAV, 16 kHz, mono.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ENDINGS = (".flac", ".wav")
SPEECH_AROUND_NOISE = "noise_gap"
"""Somebody speaks before and after it."""
LEAST_PAUSE_SECONDS = 0.3
"""Between two words; less is a breath."""


class SpeechFolderError(Exception):
    """The folder is not built as its description says."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One speaker's piece of `english`, in seconds from the start, with what is said in it."""

    name: str
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """A recording and when somebody speaks in it: stretches in order that do not touch, in seconds."""

    sound: Path
    spoken: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word and its true edges, in seconds."""

    word: str
    start: float
    end: float
    after_pause: bool
    before_pause: bool


@dataclass(frozen=True, slots=True)
class TimedWords:
    """A recording whose words have known edges."""

    sound: Path
    words: tuple[TimedWord, ...]

    @property
    def name(self) -> str:
        return self.sound.stem.removeprefix("words_")


@dataclass(frozen=True, slots=True)
class SpeechFolder:
    """All of it is optional but `english`."""

    english: Path
    clips: tuple[Clip, ...]
    levels: Path | None
    """The same clips at the same places, at other levels."""
    meetings: tuple[Meeting, ...]
    noises: tuple[Path, ...]
    """In which nobody speaks."""
    timed_words: tuple[TimedWords, ...]


def read_speech_folder(folder: Path) -> SpeechFolder:
    """Raises SpeechFolderError."""
    try:
        told = json.loads((folder / "english.json").read_bytes())
        clips = tuple(Clip(name, start, end, told["references"][name]) for name, start, end in told["clips"])
        english = sound_of(folder, "english")
        if english is None or not clips:
            raise SpeechFolderError(f"{folder} holds no english.flac, or no clips of it")
        return SpeechFolder(
            english,
            clips,
            levels=sound_of(folder, "english_levels"),
            meetings=tuple(map(_meeting, sorted(folder.glob("*.rttm")))),
            noises=tuple(sorted(file for file in folder.glob("noise_*") if is_noise(file))),
            timed_words=tuple(map(_timed_words, sorted(folder.glob("words_*.json")))),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpeechFolderError(f"{folder} cannot be read: {type(error).__name__}: {error}") from error


def is_noise(file: Path) -> bool:
    return file.suffix in ENDINGS and file.stem != SPEECH_AROUND_NOISE


def sound_of(folder: Path, stem: str) -> Path | None:
    return next((file for ending in ENDINGS if (file := folder / f"{stem}{ending}").is_file()), None)


def joined(stretches: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Stretches in any order, of several speakers → in order, each moment once."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def outside(stretches: Sequence[tuple[float, float]], covering: Sequence[tuple[float, float]]) -> float:
    """Seconds of the stretches that lie in none of the others. Both as `joined` gives them."""
    within = sum(
        max(0.0, min(end, until) - max(start, since)) for start, end in stretches for since, until in covering
    )
    return sum(end - start for start, end in stretches) - within


def _meeting(rttm: Path) -> Meeting:
    """One `SPEAKER file channel start seconds …` a line, as NIST has it."""
    lines = [line.split() for line in rttm.read_text(encoding="utf-8").splitlines() if line.startswith("SPEAKER ")]
    spoken = joined([(float(fields[3]), float(fields[3]) + float(fields[4])) for fields in lines])
    return Meeting(_beside(rttm), spoken)


def _timed_words(words: Path) -> TimedWords:
    told = json.loads(words.read_bytes())
    # Before the first word and after the last one it is quiet as well.
    edges = [0.0, *(edge for word in told for edge in (word["start"], word["end"])), float("inf")]
    pauses = [after - before >= LEAST_PAUSE_SECONDS for before, after in zip(edges[::2], edges[1::2], strict=True)]
    return TimedWords(
        _beside(words),
        tuple(
            TimedWord(word["word"], word["start"], word["end"], after, before)
            for word, (after, before) in zip(told, pairwise(pauses), strict=True)
        ),
    )


def _beside(file: Path) -> Path:
    sound = sound_of(file.parent, file.stem)
    if sound is None:
        raise SpeechFolderError(f"there is no sound beside {file.name}")
    return sound
