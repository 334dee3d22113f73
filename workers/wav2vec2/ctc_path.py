"""CTC forced alignment: the most probable path of a known text through a network's letter scores.

Runs in: worker. Pure.

The same path as `get_trellis`, `backtrack` and `merge_repeats` of whisperx.alignment, which come from
https://pytorch.org/tutorials/intermediate/forced_alignment_with_torchaudio_tutorial.html: a test compares. They loop
over frames and letters of tensors, some microseconds a step; here a step is a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
"""Log probability of each letter in each frame, shape (frames, letters)."""


@dataclass(frozen=True, slots=True)
class AlignedLetters:
    """One entry for each letter of the text, in order; each array has the shape (letters,)."""

    first_frames: npt.NDArray[np.intp]
    end_frames: npt.NDArray[np.intp]
    """The frame after the last."""
    scores: npt.NDArray[np.float64]
    """Mean probability of the letter in its frames."""


def align_letters(scores: Scores, columns: Sequence[int], blank: int) -> AlignedLetters | None:
    """The frames of the letters of a text, each given as its column of the scores; None: there is no path."""
    letters = np.asarray(columns, dtype=np.intp)
    if not 0 < len(letters) <= len(scores):
        return None
    of_letters = scores[:, letters]
    of_blank = scores[:, blank]
    best = trellis(of_letters, of_blank)
    # Whether the path to this letter in this frame comes from the letter before it, and not from the letter itself.
    came_on = best[:-1, :-1] + of_letters > best[:-1, 1:] + of_blank[:, None]
    frames = backtrack(came_on, int(best[:, -1].argmax()))
    if frames is None:
        return None
    first, places = frames
    heard = np.where(
        came_on[first + np.arange(len(places)), places],
        of_letters[first + np.arange(len(places)), places],
        of_blank[first : first + len(places)],
    )
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    ends = np.append(starts[1:], len(places))
    sums = np.add.reduceat(np.exp(heard).astype(np.float64), starts)
    return AlignedLetters(first + starts, first + ends, sums / (ends - starts))


def trellis(of_letters: Scores, of_blank: Scores) -> Scores:
    """Score of the best path to each letter by each frame, (frames + 1, letters + 1); column 0 is before the first.

    `of_letters` (frames, letters) and `of_blank` (frames,) are log probabilities.
    """
    frames, letters = of_letters.shape
    best = np.empty((frames + 1, letters + 1), np.float32)
    best[0, 0] = 0.0
    best[1:, 0] = np.cumsum(of_blank, dtype=np.float64)  # PyTorch also sums in double precision
    best[0, 1:] = -np.inf
    best[-letters:, 0] = np.inf  # a path that has not begun by then cannot finish
    stayed = np.empty(letters, np.float32)
    with np.errstate(invalid="ignore"):
        for before, after, letter, silence in zip(best, best[1:], of_letters, of_blank, strict=False):
            np.add(before[1:], silence, out=stayed)
            np.add(before[:-1], letter, out=after[1:])
            np.maximum(stayed, after[1:], out=after[1:])
    return best


def backtrack(came_on: npt.NDArray[np.bool_], end_frame: int) -> tuple[int, npt.NDArray[np.intp]] | None:
    """The first frame of the text and, from there to `end_frame`, the letter of each frame.

    None: the path back from the last letter does not reach the first.
    """
    letters = came_on.shape[1]
    steps = came_on.tobytes()
    place = letters - 1
    places: list[int] = []
    for frame in range(end_frame - 1, -1, -1):
        places.append(place)
        if steps[frame * letters + place]:
            place -= 1
            if place < 0:
                return frame, np.array(places[::-1], dtype=np.intp)
    return None
