"""Whether a recording fits into 16 bits as it is, heard in passing while it is decoded.

Runs in: worker (the decoder).

Samples of 24 bits and floats may be 60 dB softer than a voice needs to be, where 16 bits have one or two left for it,
or far beyond full scale, where 16 bits cut them off. Such a recording is decoded once more, softer or louder. What is
stored in 16 bits has lost already what it lost; for that, listeners bring sounds to the usual loudness themselves.
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
"""80 dB. What is softer is not sound."""
CLIPPED_SHARE = 0.001
"""Of all samples at full scale; with fewer, a peak here and there is cut off, as encoders make them."""
CLIPPED_IN_A_PIECE = 16
"""From here on, frames are looked at: how far beyond full scale they go."""
LEAST_EXCESS = 1.5


class Headroom:
    """Told of every frame that goes in and of every sample that comes out."""

    def __init__(self) -> None:
        self._is_finer = False
        self.wants_to_see = False
        """Whether it matters how far frames like the one begun with go beyond full scale."""
        self._is_clipped = False
        self._is_fine_now = False
        self._samples = 0
        self._clipped = 0
        self._peak = 0
        self._excess = 1.0

    def begin(self, frame: "AudioFrame") -> None:
        """Frames like this one follow."""
        self._is_fine_now = frame.format.name not in COARSE_FORMATS
        self._is_finer |= self._is_fine_now
        self.wants_to_see = self._is_clipped and self._is_fine_now

    def see(self, frame: "AudioFrame") -> None:
        """A frame, before it is made 16 bits."""
        samples = samples_of(frame, frame.layout.nb_channels)
        if samples.dtype.kind == "f" and samples.size:
            loudest = np.abs(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)).max()
            self._excess = max(self._excess, float(loudest))

    def note(self, samples: NDArray[np.int16]) -> None:
        """What became of frames."""
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
        """By what the sound is to be multiplied so that 16 bits hold it; 1: they do as it is."""
        if not self._is_finer or not self._peak:
            return 1.0
        if self._clipped >= CLIPPED_SHARE * self._samples and self._excess >= LEAST_EXCESS:
            return WANTED_PEAK / self._excess
        peak = self._peak / FULL_SCALE
        return 1.0 if peak >= QUIET_PEAK else min(WANTED_PEAK / peak, MOST_GAIN)
