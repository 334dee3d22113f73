"""What Whisper is shown of a chunk: its log-mel spectrogram with some silence behind it, and no more. Pure.

Runs in: worker.

Whisper was taught on windows of 30 s, and its encoder's attention costs more than twice as much for twice the window:
tiny.en on one core takes 0.7 s for 30 s and 0.1 s for 10 s, however little is spoken. It does with less, as long as
it hears silence before the window ends: without, it goes round in circles. The silence must be the one it was taught,
eight decades below the loudest: faster-whisper fills up with zeros, which is a hiss, and in a short window confuses.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workers.engine import SAMPLE_RATE

FRAMES_A_SECOND = 100
SAMPLES_A_FRAME = SAMPLE_RATE // FRAMES_A_SECOND
WHOLE_WINDOW = 30 * FRAMES_A_SECOND
LEAST_WINDOW = 4 * 266
"""Frames. Below, the encoder costs next to nothing and the decoder begins to stumble."""
SILENCE_BEHIND = 2 * FRAMES_A_SECOND
"""Frames of silence, at least, that tell Whisper it has heard all."""
WINDOW_STEP = 266
"""Frames. Long windows come in few lengths. What Whisper hears in a chunk depends on the length of its window, so
that follows from the chunk alone and never from its company; chunks of like length are still decoded together.
Measured on ten minutes: steps of 2 s and 5 s take longer, and Whisper doubts itself more often; those between are
alike."""
LONGEST_FINE_WINDOW = 6 * WINDOW_STEP
"""Frames. A long recording has few chunks so short, and they would seldom be decoded together. A memo is one …"""
FINE_STEP = WINDOW_STEP // 7
"""… so its window ends sooner. Measured on a memo of 12 s with tiny.en: the encoder takes a tenth less time."""
SHORT_SILENCE_BEHIND = 100
"""Frames. Measured with base on five medleys of 314 s: with 50, 75, 100 and 150 frames 189, 196, 180 and 196 of 3025
words are wrong."""
SHORT_WINDOW_STEP = 10
"""Frames: MLX keeps memory for each shape, and three hundred of them are few."""
LEAST_SHORT_WINDOW = 600
"""Frames. Of eleven sounds of one to three seconds, three went round in circles in windows of 3 s, two in 4, one in
5, none in 6 s and more."""
DYNAMIC_RANGE = 2.0
"""From the loudest to silence in Whisper's log-mel units: 8 decades, divided by 4."""

Mel = npt.NDArray[np.float32]
"""Shape (mels, frames), 100 frames a second."""


class MelBank:
    """Whisper's table from frequencies to mels; `bank @ power` gives the same bits with any number of threads.

    A BLAS shares a product out to its threads, and their number decides how it adds up: the last bit of a sound, and
    then a word that could be two, would hang on the machine's cores.
    """

    def __init__(self, filters: Mel) -> None:
        """`filters`: shape (mels, frequencies). Nearly all of it is zero."""
        self._bands = []
        for row in filters:
            used = np.flatnonzero(row)
            band = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
            self._bands.append((band, row[band, None]))

    def __matmul__(self, power: Mel) -> Mel:
        """`power`: shape (frequencies, frames)."""
        return np.stack([(weights * power[band]).sum(axis=0) for band, weights in self._bands])


def window_frames(chunk_frames: int) -> int:
    """How many frames Whisper is shown for a chunk of so many: an even number, as the encoder takes them in pairs."""
    wanted = max(chunk_frames + SILENCE_BEHIND, LEAST_WINDOW)
    step = FINE_STEP if wanted <= LONGEST_FINE_WINDOW else WINDOW_STEP
    return min(-(-wanted // step) * step, WHOLE_WINDOW)


def short_window_frames(chunk_frames: int) -> int:
    """The same for an engine that encodes each chunk by itself and has no use for windows of one length: hardly more
    than the chunk."""
    wanted = max(chunk_frames + SHORT_SILENCE_BEHIND, LEAST_SHORT_WINDOW)
    return min(-(-wanted // SHORT_WINDOW_STEP) * SHORT_WINDOW_STEP, WHOLE_WINDOW)


def in_windows(mels: Sequence[Mel], frames: int) -> Mel:
    """All of them as one batch, shape (chunks, mels, frames), each cut or followed by silence."""
    batch = np.empty((len(mels), len(mels[0]), frames), np.float32)
    for window, mel in zip(batch, mels, strict=True):
        heard = mel[:, :frames]
        window[:, : heard.shape[1]] = heard
        window[:, heard.shape[1] :] = heard.max() - DYNAMIC_RANGE
    return batch
