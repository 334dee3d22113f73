"""Whether the level of a recording fits into 16 bits, measured while it is decoded.

Runs in: worker (the decoder).

Samples of 24 bits and floats may be 60 dB softer than a voice, which leaves one or two of 16 bits for it, or far
beyond full scale, where 16 bits clip. Such a recording is decoded again, softer or louder. A recording that is stored
in 16 bits has lost that detail already; for it, the engines normalise the loudness themselves.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workers.pcm.channel_listener import samples_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

COARSE_FORMATS = frozenset({"u8", "u8p", "s16", "s16p"})
FULL_SCALE = 32_768
QUIET_PEAK = 0.02
"""34 dB below full scale: with less, a voice's softer sounds have fewer than 8 bits."""
WANTED_PEAK = 0.5
MOST_GAIN = 10_000.0
"""80 dB below full scale. Softer samples are not sound."""
CLIPPED_SHARE = 0.001
"""The share of samples at full scale; below it, only a few peaks are clipped, as encoders leave them."""
CLIPPED_IN_A_PIECE = 16
"""From this level on, frames are checked for how far they exceed full scale."""
LEAST_EXCESS = 1.5


class Headroom:
    """Sees every frame that goes in and every sample that comes out."""

    def __init__(self) -> None:
        self._is_finer = False
        self.wants_to_see = False
        """True: pass frames to `see`, for the output clips and their format can exceed full scale."""
        self._is_clipped = False
        self._is_fine_now = False
        self._samples = 0
        self._clipped = 0
        self._peak = 0
        self._excess = 1.0

    def begin(self, frame: "AudioFrame") -> None:
        """Called for the first frame of each format."""
        self._is_fine_now = frame.format.name not in COARSE_FORMATS
        self._is_finer |= self._is_fine_now
        self.wants_to_see = self._is_clipped and self._is_fine_now

    def see(self, frame: "AudioFrame") -> None:
        """Called with each frame before it becomes 16 bits."""
        samples = samples_of(frame, frame.layout.nb_channels)
        if samples.dtype.kind == "f" and samples.size:
            loudest = np.abs(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)).max()
            self._excess = max(self._excess, float(loudest))

    def note(self, samples: NDArray[np.int16]) -> None:
        """Called with the resulting samples."""
        if not samples.size:
            return
        low, high = int(samples.min()), int(samples.max())
        self._samples += samples.size
        self._peak = max(self._peak, -low, high)
        if self._is_finer and (high == FULL_SCALE - 1 or low == -FULL_SCALE):
            clipped = int(np.count_nonzero((samples == FULL_SCALE - 1) | (samples == -FULL_SCALE)))
            self._clipped += clipped
            self._is_clipped |= clipped >= CLIPPED_IN_A_PIECE
            self.wants_to_see = self._is_clipped and self._is_fine_now

    @property
    def gain(self) -> float:
        """The gain with which the sound fits into 16 bits; 1: it fits already."""
        if not self._is_finer or not self._peak:
            return 1.0
        if self._clipped >= CLIPPED_SHARE * self._samples and self._excess >= LEAST_EXCESS:
            return WANTED_PEAK / self._excess
        peak = self._peak / FULL_SCALE
        return 1.0 if peak >= QUIET_PEAK else min(WANTED_PEAK / peak, MOST_GAIN)
