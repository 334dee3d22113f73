"""The level of speech in a sound, and its normalisation to the level that models were trained on. Pure.

Runs in: worker.

Models were trained on speech of about one level. A person turns up a recording that is 40 dB softer; a network that
was never trained on such small numbers recognises nothing, or places letters half a second off.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Audio
from workers.speech.room_noise import with_less_noise

USUAL_LEVEL = 0.182
"""The level of the loud windows of speech, 15 dB below full scale: that of the recordings used in our
measurements."""
NEARLY_USUAL = 2.0
"""Within 6 dB, models give nearly the same text: an ambiguous word can depend on the last bit."""
LOUDER_WINDOWS = 10
"""This many windows may be louder than the speech: a knock or a click lasts less than a third of a second."""
SOFTEST_LEVEL = 1e-6
"""A lower level is silence, and stays silence."""

WINDOWS_A_SECOND = SAMPLE_RATE / WINDOW_SAMPLES
VOICE_SECONDS = 1.0
"""This much before and after a window determines the level of its speaker …"""
VOICE_PERCENT = 90
"""… by the level that this share of it is below: syllables, not the breaths between them."""
FLOOR_SECONDS = 8.0
"""This much before and after determines the noise floor: fan, hiss, hum, the room …"""
FLOOR_PERCENT = 10
"""… by the level of the softest share: pauses."""
FLOOR_STEP = 16
"""Windows: the floor changes slowly, and is computed for every half second."""
FAINTEST_DB = -90.0
"""Below full scale: the last of 16 bits. Softer sound is not of the room."""
USUAL_DB = 20 * math.log10(USUAL_LEVEL)
LEAST_ABOVE_FLOOR_DB = 15.0
"""Sound closer to the floor is amplified as if it were this far above it: the room must not roar in the pauses."""
MOST_GAIN_DB = 66.0
LEAST_GAIN_DB = -20.0
RUMBLE_SAMPLES = 64
"""A moving average of 4 ms follows what is slower than a voice."""
AUDIBLE_DB = 4.0
"""Above the floor by this: a distinct sound …"""
AUDIBLE_SECONDS = 0.25
"""… if most windows within this distance are."""
CONTEXT_WINDOWS = math.ceil((FLOOR_SECONDS + 1) * WINDOWS_A_SECOND)
"""How many windows on either side decide about a window."""

Levels = npt.NDArray[np.float32]
"""One level a window: the deviation of its samples from their mean, so that a constant offset does not count."""


def levels_of(audio: Audio) -> Levels:
    """The level of each whole window; for a sound shorter than a window, of the sound."""
    windows = audio[: len(audio) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    levels: Levels = (windows if len(windows) else audio[None, :]).std(axis=1, dtype=np.float32)
    return levels


def without_rumble(audio: Audio) -> Audio:
    """The sound above some 100 Hz: below are wind and traffic, but no voice."""
    half = RUMBLE_SAMPLES // 2
    sums = np.cumsum(np.pad(audio.astype(np.float64), (half, half), mode="edge"))
    sums = np.concatenate([[0.0], sums])
    left: Audio = (audio - (sums[2 * half :] - sums[: -2 * half])[: len(audio)] / (2 * half)).astype(np.float32)
    return left


def speech_level(levels: Levels, louder_windows: int = LOUDER_WINDOWS) -> float:
    """The level of the loudest windows except the very loudest, which are at most a quarter of a short sound."""
    if not levels.size:
        return 0.0
    passed_over = min(louder_windows, levels.size // 4)
    return float(np.partition(levels, levels.size - 1 - passed_over)[levels.size - 1 - passed_over])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The levels around each window, in decibels below full scale."""

    level: Levels
    floor: Levels
    """The noise floor."""
    gain: Levels
    """The gain that brings the speaker there to the usual level."""

    @property
    def is_audible(self) -> npt.NDArray[np.bool_]:
        """Windows with a sound above the floor that is longer than a click."""
        half = round(AUDIBLE_SECONDS * WINDOWS_A_SECOND)
        loud = (self.level > self.floor + AUDIBLE_DB).astype(np.int32)
        share = np.convolve(np.pad(loud, half, mode="edge"), np.ones(2 * half + 1, np.int32), mode="valid")
        heard: npt.NDArray[np.bool_] = share > half
        return heard


def surroundings(levels: Levels) -> Surroundings:
    """The surroundings of consecutive windows, at least one; each is compared with those within nine seconds."""
    level = 20 * np.log10(np.maximum(levels, np.float32(10 ** (FAINTEST_DB / 20))))
    coarse = _running(level, FLOOR_PERCENT, round(FLOOR_SECONDS * WINDOWS_A_SECOND), FLOOR_STEP)
    floor = np.interp(np.arange(len(level)), np.arange(len(coarse)) * FLOOR_STEP, coarse).astype(np.float32)
    half = round(VOICE_SECONDS * WINDOWS_A_SECOND)
    voice = np.maximum(_running(level, VOICE_PERCENT, half), floor + LEAST_ABOVE_FLOOR_DB)
    wanted = np.clip(USUAL_DB - voice, LEAST_GAIN_DB, MOST_GAIN_DB)
    smooth = half // 2
    padded = np.pad(wanted, smooth, mode="edge")
    gain = np.convolve(padded, np.full(2 * smooth + 1, 1 / (2 * smooth + 1), np.float32), mode="valid")
    return Surroundings(level, floor, gain.astype(np.float32))


def _running(level: Levels, percent: int, half: int, step: int = 1) -> Levels:
    """For every `step`th window the `percent` percentile of those up to `half` windows away."""
    padded = np.pad(level, half, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[::step]
    place = round((2 * half) * percent / 100)
    found: Levels = np.partition(around, place, axis=1)[:, place]
    return found


def amplified(audio: Audio, gain: Levels) -> Audio:
    """The sound with the gain of each of its windows, interpolated between them; clipped at full scale."""
    middles = (np.arange(len(gain)) + 0.5) * WINDOW_SAMPLES
    factor = np.power(10, np.interp(np.arange(len(audio)), middles, gain) / 20).astype(np.float32)
    louder: Audio = np.clip(audio * factor, -1.0, 1.0)
    return louder


def evenly_loud(audio: Audio) -> Audio:
    """The sound with each speaker, near or far, at the usual level, without offset, and with less of the room, as on
    the radio."""
    if not audio.size:
        return audio
    centred = with_less_noise(audio - audio.mean())
    windows = np.pad(centred, (0, -len(centred) % WINDOW_SAMPLES), mode="edge")
    return amplified(centred, surroundings(levels_of(without_rumble(windows))).gain)


def at_usual_loudness(audio: Audio, give_or_take: float = NEARLY_USUAL) -> Audio:
    """The sound with its speech at the usual level, without offset; clipped at full scale.

    Speech within a factor of `give_or_take` of the usual level stays unchanged.
    """
    level = speech_level(levels_of(audio)) if audio.size else 0.0
    if not SOFTEST_LEVEL < level < np.inf or 1 / give_or_take < level / USUAL_LEVEL < give_or_take:
        return audio
    louder: Audio = np.clip((audio - audio.mean()) * np.float32(USUAL_LEVEL / level), -1.0, 1.0)
    return louder
