"""A little more or a little less time for the same sound: how a recorder's clock that runs wrong is set right.

Runs in: worker. Pure.
"""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


def stretched(samples: Samples, length: int) -> Samples:
    """The same sound in `length` samples, by cubic interpolation. Meant for changes of a few percent."""
    if length == len(samples) or length <= 0 or len(samples) < 2:
        return samples
    at = np.arange(length) * (len(samples) / length)
    whole = at.astype(np.int64)
    between = at - whole
    known = np.concatenate([samples[:1], samples, samples[-1:], samples[-1:]]).astype(np.float64)
    before, this, following, after = (known[whole + shift] for shift in range(4))
    slope, next_slope = (following - before) / 2, (after - this) / 2
    rest = following - this
    value = this + between * (
        slope + between * (3 * rest - 2 * slope - next_slope + between * (slope + next_slope - 2 * rest))
    )
    return np.clip(np.rint(value), -32768, 32767).astype(np.int16)
