"""Noise reduction: a sound with less of its constant noise (room, fan, hiss). Pure.

Runs in: worker.

A distant speaker is hardly louder than the room, and gain control amplifies both. The softest moments of each band
give the level of the room in it. Each moment is attenuated by the room's share of it, by ten decibels at most: if
noise is removed completely, Whisper recognises wrong words in the gaps.
"""

import numpy as np
import numpy.typing as npt

from workers.engine import Audio

FRAME_SAMPLES = 512
"""32 ms, each overlapping the next by half."""
STEP_SAMPLES = FRAME_SAMPLES // 2
SOFTEST_SHARE = 0.15
"""Quantile of the moments of a band: pauses, which contain only the noise."""
OF_ITS_MEAN = -np.log(1 - SOFTEST_SHARE)
"""The value of that quantile of the noise's power."""
LEAST_GAIN = 10 ** (-10 / 20)
FRAMES_TOGETHER = 3
BANDS_TOGETHER = 3
"""Power is averaged over this width: that of a single moment is random."""
LEAST_FRAMES = 40
"""Less than half a second has no pause to learn from."""
WINDOW = np.sqrt(np.hanning(FRAME_SAMPLES + 1)[:-1]).astype(np.float32)

Spectrum = npt.NDArray[np.float32]


def with_less_noise(audio: Audio) -> Audio:
    """Samples at 16 kHz → as many samples. Speech keeps its loudness, constant noise loses up to 10 dB."""
    if len(audio) < LEAST_FRAMES * STEP_SAMPLES:
        return audio
    padded = np.pad(audio, (STEP_SAMPLES, STEP_SAMPLES + -len(audio) % STEP_SAMPLES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::STEP_SAMPLES] * WINDOW
    bands = np.fft.rfft(frames, axis=1)
    power = np.square(bands.real) + np.square(bands.imag)
    place = int(SOFTEST_SHARE * len(power))
    noise = np.partition(power, place, axis=0)[place] / OF_ITS_MEAN
    around = _mean_around(_mean_around(power, FRAMES_TOGETHER, 0), BANDS_TOGETHER, 1)
    left = 1 - noise / np.maximum(around, np.finfo(np.float32).tiny)
    gain = np.sqrt(np.maximum(left, LEAST_GAIN**2))
    cleaned = np.fft.irfft(bands * gain, FRAME_SAMPLES, axis=1).astype(np.float32) * WINDOW
    halves = cleaned.reshape(len(cleaned), 2, STEP_SAMPLES)
    summed = np.zeros((len(cleaned) + 1, STEP_SAMPLES), np.float32)
    summed[:-1] += halves[:, 0]
    summed[1:] += halves[:, 1]
    result: Audio = summed.reshape(-1)[STEP_SAMPLES : STEP_SAMPLES + len(audio)]
    return result


def _mean_around(power: Spectrum, width: int, axis: int) -> Spectrum:
    half = width // 2
    padded = np.pad(power, [(half, half) if one == axis else (0, 0) for one in range(2)], mode="edge")
    length = power.shape[axis]
    parts = [padded[n : n + length] if axis == 0 else padded[:, n : n + length] for n in range(width)]
    mean: Spectrum = np.mean(parts, axis=0, dtype=np.float32)
    return mean
