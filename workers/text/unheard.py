"""The audible parts of a chunk without text, for the transcript to report. Pure.

Runs in: worker.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np

from ipc.transcript import Segment, Unheard
from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Chunk
from workers.speech.loudness import FAINTEST_DB, levels_of
from workers.text.decode_quality import LEAST_MURMUR_SECONDS

SECONDS_A_WINDOW = WINDOW_SAMPLES / SAMPLE_RATE
LONGEST_BREATH_SECONDS = 0.5
"""A shorter pause does not divide a sound."""
LEAST_SECONDS = 0.5
"""A cough or a click is shorter, and so is a gap that comes from timestamps half a second off."""


class WithoutVoice:
    """Chunks without speech, by the detector. No engine transcribes them, for it would hallucinate; their audible
    parts are reported with those of the chunks around them."""

    def __init__(self) -> None:
        self._audible: list[Unheard] = []

    def put_aside(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yields the other chunks, in order."""
        for chunk in chunks:
            likely_seconds = chunk.likely_seconds(chunk.start, chunk.end)
            if likely_seconds is None or likely_seconds >= LEAST_MURMUR_SECONDS:
                yield chunk
            else:
                self._audible += unheard_in(chunk, ())

    def before(self, seconds: float) -> list[Unheard]:
        """The audible parts of chunks that begin earlier, in order, each once."""
        told = [one for one in self._audible if one.start < seconds]
        self._audible = self._audible[len(told) :]
        return told


def unheard(chunks: Iterable[Chunk], segments: Sequence[Segment]) -> list[Unheard]:
    """The audible parts of these chunks that none of these segments covers, in order."""
    return [
        one
        for chunk in chunks
        for one in unheard_in(
            chunk, [found for found in segments if chunk.start <= found.start and found.end <= chunk.end]
        )
    ]


def unheard_in(chunk: Chunk, segments: Sequence[Segment]) -> list[Unheard]:
    """The sounds between the segments of a chunk; the segments are in order."""
    free_from = [chunk.start, *(one.end for one in segments)]
    free_until = [*(one.start for one in segments), chunk.end]
    return [
        Unheard(start=round(start, 3), end=round(end, 3), level_db=_level_db(chunk, start, end))
        for gap in zip(free_from, free_until, strict=True)
        for start, end in _within(sounds_in(chunk), *gap)
    ]


def sounds_in(chunk: Chunk) -> list[tuple[float, float]]:
    """The audible parts, in seconds from the start of the recording; breaths do not count."""
    runs: list[tuple[float, float]] = []
    window = 0
    for audible, run in groupby(chunk.audible or ()):
        beyond = window + len(list(run))
        if audible:
            runs.append((chunk.start + window * SECONDS_A_WINDOW, chunk.start + beyond * SECONDS_A_WINDOW))
        window = beyond
    borders = [
        0,
        *(n + 1 for n, (one, other) in enumerate(pairwise(runs)) if other[0] - one[1] > LONGEST_BREATH_SECONDS),
    ]
    return (
        [(runs[first][0], runs[beyond - 1][1]) for first, beyond in pairwise([*borders, len(runs)])] if runs else []
    )


def _within(sounds: Sequence[tuple[float, float]], start: float, end: float) -> list[tuple[float, float]]:
    cut = ((max(one, start), min(other, end)) for one, other in sounds)
    return [(one, other) for one, other in cut if other - one >= LEAST_SECONDS]


def _level_db(chunk: Chunk, start: float, end: float) -> float:
    first, beyond = (round((at - chunk.start) * SAMPLE_RATE) for at in (start, end))
    loudest = float(levels_of(chunk.audio[first:beyond]).max(initial=0.0))
    return round(max(FAINTEST_DB, 20 * float(np.log10(max(loudest, 1e-9)))), 1)
