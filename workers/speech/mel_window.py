"""Whisper's input for a chunk: its log-mel spectrogram, followed by only some silence. Pure.

Runs in: worker.

Whisper was trained on windows of 30 s, and its encoder's attention costs more than twice as much for twice the
window: tiny.en on one core takes 0.7 s for 30 s and 0.1 s for 10 s, however little speech there is. It works with
shorter windows, as long as they end in silence: without, it repeats itself. The silence must be that of its training,
eight decades below the loudest: faster-whisper pads with zeros, which is a hiss, and confuses Whisper in a short
window.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workers.engine import SAMPLE_RATE

FRAMES_A_SECOND = 100
SAMPLES_A_FRAME = SAMPLE_RATE // FRAMES_A_SECOND
WHOLE_WINDOW = 30 * FRAMES_A_SECOND
LEAST_WINDOW = 4 * 266
"""Frames. Below this, the encoder costs next to nothing and the decoder makes mistakes."""
SILENCE_BEHIND = 2 * FRAMES_A_SECOND
"""The least frames of silence that tell Whisper that the speech has ended."""
WINDOW_STEP = 266
"""Frames. Long windows come in few lengths. The text of a chunk depends on the length of its window, so the length
depends on the chunk alone and never on the other chunks; chunks of similar length are still decoded together.
Measured on ten minutes: steps of 2 s and 5 s take longer, and more decodings fail; those between are equal."""
LONGEST_FINE_WINDOW = 6 * WINDOW_STEP
"""Frames. A long recording has few chunks this short, and they would seldom be decoded together. A memo is one …"""
FINE_STEP = WINDOW_STEP // 7
"""… so its window ends sooner. Measured on a memo of 12 s with tiny.en: the encoder takes a tenth less time."""
SHORT_SILENCE_BEHIND = 100
"""Frames. Measured with base on five medleys of 314 s: with 50, 75, 100 and 150 frames 189, 196, 180 and 196 of 3025
words are wrong."""
SHORT_WINDOW_STEP = 10
"""Frames: MLX keeps memory for each shape, and three hundred shapes are acceptable."""
LEAST_SHORT_WINDOW = 600
"""Frames. Of eleven sounds of one to three seconds, three looped in windows of 3 s, two in 4 s, one in 5 s, none in 6
s and more."""
DYNAMIC_RANGE = 2.0
"""From the loudest to silence in Whisper's log-mel units: 8 decades, divided by 4."""

Mel = npt.NDArray[np.float32]
"""Shape (mels, frames), 100 frames a second."""


class MelBank:
    """Whisper's table from frequencies to mels; `bank @ power` gives the same bits with any number of threads.

    A BLAS distributes a product to its threads, and their number decides the order of the sums: the last bit of a
    sound, and then an ambiguous word, would depend on the machine's cores.
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
    """The frames of the window for a chunk of `chunk_frames`: an even number, as the encoder takes them in pairs."""
    wanted = max(chunk_frames + SILENCE_BEHIND, LEAST_WINDOW)
    step = FINE_STEP if wanted <= LONGEST_FINE_WINDOW else WINDOW_STEP
    return min(-(-wanted // step) * step, WHOLE_WINDOW)


def short_window_frames(chunk_frames: int) -> int:
    """The same for an engine that encodes each chunk separately and needs no common window lengths: hardly longer
    than the chunk."""
    wanted = max(chunk_frames + SHORT_SILENCE_BEHIND, LEAST_SHORT_WINDOW)
    return min(-(-wanted // SHORT_WINDOW_STEP) * SHORT_WINDOW_STEP, WHOLE_WINDOW)


def in_windows(mels: Sequence[Mel], frames: int) -> Mel:
    """All chunks as one batch, shape (chunks, mels, frames), each cut or padded with silence."""
    batch = np.empty((len(mels), len(mels[0]), frames), np.float32)
    for window, mel in zip(batch, mels, strict=True):
        heard = mel[:, :frames]
        window[:, : heard.shape[1]] = heard
        window[:, heard.shape[1] :] = heard.max() - DYNAMIC_RANGE
    return batch
