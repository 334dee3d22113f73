"""Where words begin and end beside pauses, by how loud the sound is there. Pure.

Runs in: worker.

A network says in which frames letters are heard, and nothing about the frames between two of them: the pause behind a
word counts as the word, or the word ends where its last letter begins. The sound itself tells more: a word
lasts until it is quiet. Quiet is what lies deep below the word's own peak, or is no louder than the noise around it;
in two bands, because a hum hides vowels and not the `s`, a hiss hides the `s` and not vowels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ipc.transcript import Segment, Word
from workers.engine import SAMPLE_RATE, Audio

FRAME_SAMPLES = 80
"""A level every 5 ms, of the 10 ms from there on."""
FRAMES_A_SECOND = SAMPLE_RATE // FRAME_SAMPLES
LAGS = (8, 1)
"""Each band is the sound minus itself this many samples ago: around 1 kHz with hum 20 dB down, and around 8 kHz."""
BELOW_PEAK_DB = np.array((28.0, 24.0))
"""A word is over where both bands are so far below its peak. Measured on hand-labelled and on composed speech: with
20 a soft `f` is cut off by 130 ms, with 35 the room's echo is 90 ms of the word."""
ABOVE_FLOOR_DB = 4.0
LEAST_RISE_DB = 7.0
"""A band in which the word stands out less from the noise tells nothing."""
FLOOR_SHARE = 0.15
"""Of the levels around a pause are noise, as a rule: the highest of these is the floor."""
FLOOR_FRAMES = FRAMES_A_SECOND // 2
"""So far around the pause the floor is looked for too."""
LEAST_STRETCH = 0.2
"""Seconds from where a word is surely not over to where the next has surely begun; less holds no pause."""
LEAST_PAUSE = 0.15
"""Seconds of quiet; what is shorter may be the closed mouth before a `t`."""
LEAST_LOUD_FRAMES = 3
"""Less is a click, not a part of a word."""
PEAK_SECONDS = 0.08
"""A vowel may be loudest this long after its letter begins."""
USUAL_LETTER = 0.1
"""The least length of a last letter where noise hides how it ends: nine of ten do, half of them 0.14."""
LEAST_BREAK = 0.3
"""Seconds between two letters of one word from which on there may be a pause between them, with letters misplaced."""
SILENT_DB = -120.0

BandLevels = npt.NDArray[np.float64]
"""dB a frame and band, shape (frames, 2)."""


@dataclass(frozen=True, slots=True)
class Core:
    """What of a word surely is heard; times in seconds from the start of the recording."""

    begun: float
    """By then it has begun."""
    over: float
    """Until then it is not over."""
    letters: tuple[float, ...] = ()
    """When its letters begin, if they are known: a pause may separate some, which then were misplaced."""


@dataclass(frozen=True, slots=True)
class EdgeMargin:
    """How far from its core a word's edge may be, in seconds; what is further is another sound."""

    before: float
    behind: float


AROUND_LETTERS = EdgeMargin(before=0.15, behind=0.6)
"""From the first letter back, which a network hears in one step: a breath is more than 0.15 s before it; and from
where the last letter begins."""
AROUND_WORDS = EdgeMargin(before=1.2, behind=1.2)
"""From any part of the word."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Frames, up to `beyond`, in which a word is not heard."""

    first: int
    beyond: int
    masked: bool
    """Whether noise decides that: the word may last longer than it can be heard."""

    @property
    def is_pause(self) -> bool:
        return self.beyond - self.first >= LEAST_PAUSE * FRAMES_A_SECOND


def words_at_the_sound(
    words: Sequence[Word], cores: Sequence[Core | None], audio: Audio, segment: Segment, reach: EdgeMargin
) -> tuple[Word, ...]:
    """The words with their edges where the sound begins and ends, wherever one is next to a pause.

    `cores` has one a word; None: nothing of it is known, and it stays where it is, as does every edge at which the
    sound tells nothing. `audio` is the segment's sound. Words come and go in order and inside the segment.
    """
    if not words or len(audio) < 2 * FRAME_SAMPLES:
        return tuple(words)
    sound = Sound(levels_of(audio), segment.start, reach)
    segments = [sound.unbroken(core) if core is not None else None for core in cores]
    starts = [
        word.start if one is core or one is None else max(word.start, one.begun)
        for word, core, one in zip(words, cores, segments, strict=True)
    ]
    ends = [word.end for word in words]
    for behind in range(len(words) + 1):
        before = behind - 1
        ending = segments[before] if before >= 0 else None
        beginning = segments[behind] if behind < len(words) else None
        not_over = ending.over if ending else ends[before] if before >= 0 else None
        has_begun = beginning.begun if beginning else starts[behind] if behind < len(words) else None
        pause = sound.pause(ending, beginning, sound.stretch(not_over, has_begun))
        if pause.end is not None:
            ends[before] = pause.end
        if pause.start is not None:
            starts[behind] = pause.start
    return in_order(words, starts, ends, segment)


@dataclass(frozen=True, slots=True)
class Pause:
    """When the word before it ends and the one behind it starts; None: that cannot be told."""

    end: float | None = None
    start: float | None = None


class Sound:
    """How loud a segment is, and where words are in it."""

    def __init__(self, levels: BandLevels, start: float, reach: EdgeMargin) -> None:
        self._levels = levels
        self._start = start
        self._reach = reach

    def stretch(self, not_over: float | None, has_begun: float | None) -> range:
        """The frames in which a pause is looked for; from the first or up to the last one where there is no word.

        Empty if they are too few between two words.
        """
        first = self._frame(not_over) if not_over is not None else 0
        beyond = self._frame(has_begun) if has_begun is not None else len(self._levels)
        inside = not_over is not None and has_begun is not None
        return range(first, first if inside and beyond - first < LEAST_STRETCH * FRAMES_A_SECOND else beyond)

    def pause(self, ending: Core | None, beginning: Core | None, stretch: range) -> Pause:
        """The edges of the two words beside a stretch, each as far as it is told by that word's own loudness."""
        ends = self._quiet_for(ending, stretch) if ending else []
        starts = self._quiet_for(beginning, stretch) if beginning else []
        # At the edge of the segment a pause may be cut off.
        over = next((one for one in ends if one.is_pause or (not beginning and one.beyond == stretch.stop)), None)
        begun = next(
            (one for one in reversed(starts) if one.is_pause or (not ending and one.first == stretch.start)), None
        )
        if over and begun and begun.beyond < over.first:
            return Pause()
        end = start = None
        if ending and over:
            end = self._time(over.first)
            if over.masked:
                end = max(end, min(ending.over + USUAL_LETTER, self._time(stretch.stop)))
            end = end if end - ending.over <= self._reach.behind else None
        if beginning and begun:
            start = self._time(begun.beyond)
            start = start if beginning.begun - start <= self._reach.before else None
        return Pause(end, start)

    def unbroken(self, word: Core) -> Core:
        """The word without those letters that a pause separates from most of the others."""
        for place, (one, following) in enumerate(pairwise(word.letters), start=1):
            if following - one < LEAST_BREAK:
                continue
            quiet = self._quiet_for(word, range(self._frame(one), self._frame(following)))
            if any(each.is_pause for each in quiet):
                kept = word.letters[place:] if 2 * place <= len(word.letters) else word.letters[:place]
                return Core(kept[0], kept[-1], kept)
        return word

    def _quiet_for(self, word: Core, stretch: range) -> list[Quiet]:
        """Where in these frames a word as loud as this one is not heard, in order."""
        if not stretch:
            return []
        peak = self._peak_of(word)
        levels = self._levels[stretch.start : stretch.stop]
        around = self._levels[max(stretch.start - FLOOR_FRAMES, 0) : stretch.stop + FLOOR_FRAMES]
        floor = np.minimum(floor_of(levels), floor_of(around))
        tells = peak - floor >= LEAST_RISE_DB
        if not tells.any():
            return []
        by_peak, by_floor = peak - BELOW_PEAK_DB, floor + ABOVE_FLOOR_DB
        loud = ((levels > np.maximum(by_peak, by_floor)) & tells).any(axis=1)
        masked = bool((by_floor > by_peak).any())
        return [Quiet(stretch.start + first, stretch.start + beyond, masked) for first, beyond in quiet_runs(loud)]

    def _peak_of(self, word: Core) -> BandLevels:
        first = min(self._frame(min(word.begun, word.over)), len(self._levels) - 1)
        beyond = self._frame(max(word.begun, word.over) + PEAK_SECONDS)
        peak: BandLevels = self._levels[first : max(beyond, first + 1)].max(axis=0)
        return peak

    def _frame(self, time: float) -> int:
        return int(min(max((time - self._start) * FRAMES_A_SECOND, 0), len(self._levels)))

    def _time(self, frame: int) -> float:
        return self._start + frame / FRAMES_A_SECOND


def levels_of(audio: Audio) -> BandLevels:
    """How loud each band is in each whole frame, in dB of full scale, at least SILENT_DB."""
    frames = len(audio) // FRAME_SAMPLES
    powers = np.empty((frames, len(LAGS)))
    for band, lag in enumerate(LAGS):
        change = np.zeros(frames * FRAME_SAMPLES, np.float32)
        np.subtract(audio[lag : len(change)], audio[: len(change) - lag], out=change[lag:])
        rows = change.reshape(frames, FRAME_SAMPLES)
        powers[:, band] = np.einsum("ij,ij->i", rows, rows)
    powers[:-1] += powers[1:].copy()
    powers[-1] *= 2
    levels: BandLevels = 10 * np.log10(powers / (2 * FRAME_SAMPLES) + 10 ** (SILENT_DB / 10))
    return levels


def floor_of(levels: BandLevels) -> BandLevels:
    """How loud the noise is in each band."""
    place = int(FLOOR_SHARE * (len(levels) - 1))
    floor: BandLevels = np.partition(levels, place, axis=0)[place]
    return floor


def quiet_runs(loud: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and the one beyond of each run of frames that are not loud, clicks among them passed over."""
    changes = np.flatnonzero(np.diff(loud.view(np.int8), prepend=1, append=1))
    runs: list[tuple[int, int]] = []
    for first, beyond in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] < LEAST_LOUD_FRAMES:
            runs[-1] = (runs[-1][0], beyond)
        else:
            runs.append((first, beyond))
    return runs


def in_order(
    words: Sequence[Word], starts: Sequence[float], ends: Sequence[float], segment: Segment
) -> tuple[Word, ...]:
    """The words with these times, in whole milliseconds that run forwards; a word is over where the next begins."""
    placed: list[Word] = []
    free_from = segment.start
    for word, start, end, free_to in zip(words, starts, ends, (*starts[1:], segment.end), strict=True):
        first = min(max(round(start, 3), free_from), segment.end)
        free_from = min(max(round(min(end, free_to), 3), first), segment.end)
        if (first, free_from) != (word.start, word.end):
            word = word.model_copy(update={"start": first, "end": free_from})
        placed.append(word)
    return tuple(placed)
