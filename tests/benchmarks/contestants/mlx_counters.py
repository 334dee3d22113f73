"""What a whisper in MLX is asked to do: steps of its decoder, seconds of sound through its encoder.

Runs in: a contestant's process, under the product's Python or the peers'.
"""

import math
from typing import Any

ENCODED_A_SECOND = 50
"""Frames; the encoder's convolutions halve those of the spectrogram."""


def calls_of(kind: Any, method: str) -> list[int]:
    """From now on the first element counts how often this method of a class is called."""
    calls = [0]
    whole = getattr(kind, method)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return whole(*args, **kwargs)

    setattr(kind, method, counted)
    return calls


def encoded_seconds(network: Any) -> list[float]:
    """From now on the first element counts the seconds of sound, silence added to it included, that were encoded."""
    from mlx import nn

    seconds = [0.0]

    class CountedNorm(nn.LayerNorm):  # type: ignore[misc]
        """What everything passes at the encoder's end, whoever drives its blocks."""

        def __call__(self, x: Any) -> Any:
            seconds[0] += math.prod(x.shape[:-1]) / ENCODED_A_SECOND
            return super().__call__(x)

    network.encoder.ln_post.__class__ = CountedNorm
    return seconds
