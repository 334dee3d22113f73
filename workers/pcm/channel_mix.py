"""A mix of several channels for recordings whose speech FFmpeg's own mix would lose: the channels with speech, in
phase.

Runs in: worker.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_SECONDS = 0.25
"""How long the weights stay the same."""
FADE_SECONDS = 0.05
"""Crossfade from one window's weights to the next one's."""
HEARD_DB = 12.0
"""Channels of a window count if they are at most this far below the loudest."""
INVERSE = -0.3
"""A channel whose correlation with the louder ones is below this is inverted."""
PAUSE_DB = 35.0
"""In a window this far below the loudest one the weights do not change: pauses must not flutter."""


@dataclass(frozen=True, slots=True)
class MixPlan:
    """Which channels of a recording become one."""

    channels: tuple[int, ...]
    """The channels with speech, counted from 0."""

    @property
    def in_words(self) -> str:
        """As `RecordingFacts.channels_used` says it."""
        numbers = [str(channel + 1) for channel in self.channels]
        if len(numbers) == 1:
            return f"channel {numbers[0]}"
        return f"channels {', '.join(numbers[:-1])} and {numbers[-1]}, in phase"


class ChannelMixer:
    """Windows of one recording's channels → mono samples. The first window's weights apply without a fade."""

    def __init__(self, plan: MixPlan, channels: int, rate: int) -> None:
        self._usable = [channel for channel in plan.channels if channel < channels]
        self._weights: NDArray[np.float32] | None = None
        self._loudest_power = 0.0
        self._fade_samples = round(FADE_SECONDS * rate)

    def mono(self, samples: NDArray[np.float32]) -> NDArray[np.int16]:
        """One window, samples by channel from -1 to 1, as 16-bit samples."""
        usable = np.nan_to_num(samples[:, self._usable], posinf=0.0, neginf=0.0)
        before, self._weights = self._weights, self._chosen(usable)
        mixed = _sum(usable, self._weights)
        if before is not None and not np.array_equal(before, self._weights):
            count = min(self._fade_samples, len(usable))
            rising = np.arange(count, dtype=np.float32) / max(count, 1)
            mixed[:count] = rising * mixed[:count] + (1 - rising) * _sum(usable[:count], before)
        return np.clip(np.rint(mixed * 32_768), -32_768, 32_767).astype(np.int16)

    def _chosen(self, usable: NDArray[np.float32]) -> NDArray[np.float32]:
        """The weights of the mean of the audible channels, each inverted if needed so that it adds to the louder
        ones."""
        powers = np.einsum("sc,sd->cd", usable, usable, dtype=np.float64) / max(len(usable), 1)
        own = powers.diagonal()
        loudest = int(own.argmax())
        self._loudest_power = max(self._loudest_power, float(own[loudest]))
        if self._weights is not None and own[loudest] <= self._loudest_power * 10 ** (-PAUSE_DB / 10):
            return self._weights
        weights = np.zeros(len(own))
        for channel in np.argsort(-own, kind="stable"):
            if own[channel] < own[loudest] * 10 ** (-HEARD_DB / 10):
                break
            so_far = float(np.einsum("c,cd,d->", weights, powers, weights))
            with_it = float(np.einsum("c,c->", weights, powers[channel]))
            is_inverse = so_far > 0 and with_it < INVERSE * (so_far * own[channel]) ** 0.5
            weights[channel] = -1 if is_inverse else 1
        return (weights / max(int(np.count_nonzero(weights)), 1)).astype(np.float32)


def _sum(samples: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Not as a matrix product: its last bit depends on the library's number of threads."""
    mixed = np.zeros(len(samples), np.float32)
    for channel in np.flatnonzero(weights):
        mixed += weights[channel] * samples[:, channel]
    return mixed
