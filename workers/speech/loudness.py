"""How loud speech is in a sound, and the same sound as loud as models know speech. Pure.

Runs in: worker.

Models were taught on speech of about one loudness. A recording 40 dB softer sounds the same to a person who turns the
knob; a network that was never shown such small numbers hears nothing, or letters half a second from where they are.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Audio
from workers.speech.room_noise import with_less_noise

USUAL_LEVEL = 0.182
"""Of the loud windows of speech, 15 dB below full scale: that of the recordings the models were measured with."""
NEARLY_USUAL = 2.0
"""Within 6 dB, models hear the same, so far as they ever do: a word that could be two hangs on the last bit."""
LOUDER_WINDOWS = 10
"""So many windows may be louder than the speech: a knock or a click is over in a third of a second."""
SOFTEST_LEVEL = 1e-6
"""Less is silence, and stays silence."""

WINDOWS_A_SECOND = SAMPLE_RATE / WINDOW_SAMPLES
VOICE_SECONDS = 1.0
"""So much before and after a window tells how loud the one is who speaks there …"""
VOICE_PERCENT = 90
"""… by what is louder than so much of it: syllables, not the breaths between them."""
FLOOR_SECONDS = 8.0
"""So much before and after tells what is always there: fan, hiss, hum, the room …"""
FLOOR_PERCENT = 10
"""… by what is softer than the rest: pauses."""
FLOOR_STEP = 16
"""Windows: the floor moves slowly, and is found for every half second."""
FAINTEST_DB = -90.0
"""Below full scale: the last bits of 16. What is softer is no sound of the room."""
USUAL_DB = 20 * math.log10(USUAL_LEVEL)
LEAST_ABOVE_FLOOR_DB = 15.0
"""What is closer to the floor is made louder as if it were so far away: rooms do not roar in the pauses."""
MOST_GAIN_DB = 66.0
LEAST_GAIN_DB = -20.0
RUMBLE_SAMPLES = 64
"""Their mean, 4 ms long, follows what is slower than a voice."""
AUDIBLE_DB = 4.0
"""Above the floor: a sound of its own …"""
AUDIBLE_SECONDS = 0.25
"""… if it is so in most windows up to so far away."""
CONTEXT_WINDOWS = math.ceil((FLOOR_SECONDS + 1) * WINDOWS_A_SECOND)
"""How many windows on either side decide about one."""

Levels = npt.NDArray[np.float32]
"""One a window: the deviation of its samples from their mean, so that a constant offset is not loud."""


def levels_of(audio: Audio) -> Levels:
    """Of each whole window; of a sound shorter than one, its own."""
    windows = audio[: len(audio) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    levels: Levels = (windows if len(windows) else audio[None, :]).std(axis=1, dtype=np.float32)
    return levels


def without_rumble(audio: Audio) -> Audio:
    """What is left of a sound above some 100 Hz: wind and traffic shake a microphone below, and no voice."""
    half = RUMBLE_SAMPLES // 2
    sums = np.cumsum(np.pad(audio.astype(np.float64), (half, half), mode="edge"))
    sums = np.concatenate([[0.0], sums])
    left: Audio = (audio - (sums[2 * half :] - sums[: -2 * half])[: len(audio)] / (2 * half)).astype(np.float32)
    return left


def speech_level(levels: Levels, louder_windows: int = LOUDER_WINDOWS) -> float:
    """That of the loudest windows but the very loudest; in a short sound a quarter of it counts as those."""
    if not levels.size:
        return 0.0
    passed_over = min(louder_windows, levels.size // 4)
    return float(np.partition(levels, levels.size - 1 - passed_over)[levels.size - 1 - passed_over])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around each window, in decibels below full scale."""

    level: Levels
    floor: Levels
    """Of what is always there."""
    gain: Levels
    """What brings the one who speaks there to the usual level."""

    @property
    def is_audible(self) -> npt.NDArray[np.bool_]:
        """Where something stands out from the floor, for longer than a click."""
        half = round(AUDIBLE_SECONDS * WINDOWS_A_SECOND)
        loud = (self.level > self.floor + AUDIBLE_DB).astype(np.int32)
        share = np.convolve(np.pad(loud, half, mode="edge"), np.ones(2 * half + 1, np.int32), mode="valid")
        heard: npt.NDArray[np.bool_] = share > half
        return heard


def surroundings(levels: Levels) -> Surroundings:
    """Of windows in a row, at least one; each is judged by those within nine seconds."""
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
    """For every `step`th window what is louder than so many percent of those up to `half` windows away."""
    padded = np.pad(level, half, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[::step]
    place = round((2 * half) * percent / 100)
    found: Levels = np.partition(around, place, axis=1)[:, place]
    return found


def amplified(audio: Audio, gain: Levels) -> Audio:
    """The sound with the gain of each of its windows, gliding from one to the next; cut off at full scale."""
    middles = (np.arange(len(gain)) + 0.5) * WINDOW_SAMPLES
    factor = np.power(10, np.interp(np.arange(len(audio)), middles, gain) / 20).astype(np.float32)
    louder: Audio = np.clip(audio * factor, -1.0, 1.0)
    return louder


def evenly_loud(audio: Audio) -> Audio:
    """The sound with each of its speakers at the usual level, near and far, around zero, and less of the room: as
    radio does."""
    if not audio.size:
        return audio
    centred = with_less_noise(audio - audio.mean())
    windows = np.pad(centred, (0, -len(centred) % WINDOW_SAMPLES), mode="edge")
    return amplified(centred, surroundings(levels_of(without_rumble(windows))).gain)


def at_usual_loudness(audio: Audio, give_or_take: float = NEARLY_USUAL) -> Audio:
    """The sound with its speech at the usual level, around zero; what then is beyond full scale is cut off there.

    Speech that is less than `give_or_take` times softer or louder stays as it is.
    """
    level = speech_level(levels_of(audio)) if audio.size else 0.0
    if not SOFTEST_LEVEL < level < np.inf or 1 / give_or_take < level / USUAL_LEVEL < give_or_take:
        return audio
    louder: Audio = np.clip((audio - audio.mean()) * np.float32(USUAL_LEVEL / level), -1.0, 1.0)
    return louder
