"""Real speech of any length: the clips of a recording one after the other, over and over, with the pauses they have.

Runs in: the benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recordings import Samples, voice, wav

from benchmarks.speech.speech_folder import Clip
from benchmarks.speech.speech_maker import SAMPLE_RATE, Recording


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip and the pause after it, in samples of the recording."""

    start: int
    beyond: int
    text: str

    @property
    def samples(self) -> int:
        return self.beyond - self.start


def pieces_of(clips: Sequence[Clip], samples: int) -> list[Piece]:
    """The recording cut where clips begin: nothing is lost, and the first begins with it."""
    starts = [0, *(round(clip.start * SAMPLE_RATE) for clip in clips[1:]), samples]
    return [Piece(starts[number], starts[number + 1], clip.text) for number, clip in enumerate(clips)]


def chosen(pieces: Sequence[Piece], samples: int) -> list[Piece]:
    """Whole pieces in order, over and over; in the last round those that still fit. At least one, the shortest."""
    found: list[Piece] = []
    left = samples
    while True:
        skipped = False
        for piece in pieces:
            if piece.samples <= left:
                found.append(piece)
                left -= piece.samples
            else:
                skipped = True
        if skipped:
            return found or [min(pieces, key=lambda piece: piece.samples)]


def record_medley(path: Path, sound: Path, clips: Sequence[Clip], seconds: float) -> Recording:
    """At most so long; the same seconds give the same sound, and the same clips of a recording at other levels."""
    samples: Samples = voice(sound)
    taken = chosen(pieces_of(clips, len(samples)), round(seconds * SAMPLE_RATE))
    cut = np.concatenate([samples[piece.start : piece.beyond] for piece in taken])
    return Recording(wav(path, cut), " ".join(piece.text for piece in taken), len(cut) / SAMPLE_RATE)
