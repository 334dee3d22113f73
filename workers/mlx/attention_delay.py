"""How late a whisper model's attention is, measured on a sound whose words are known.

Runs in: worker.

Each model looks at a word some time before or after it is said, always by about as much: on eleven speakers whisper
base 48 ms too early at the median, tiny.en 77 ms too late (on this sound 63 and 94). No table knows an owner's model.
"""

import wave
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from workers.engine import SAMPLE_RATE, Audio

SOUND = Path(__file__).parent / "lateness_sound.wav"
TEXT = (
    "The ferry leaves at nine thirty on Thursday morning. The tickets are in the blue folder, next to the old camera."
)
LANGUAGE = "en"
STARTS: tuple[float | None, ...] = (
    *(None, 0.395, 0.735, 1.062, 1.176, 1.476, 1.837, 2.057, 2.484),
    *(None, 3.725, 4.12, 4.226, 4.306, 4.4, 4.641, None, 5.608, 5.708, 5.883, 6.143),
)
"""When each word begins, in seconds; None behind a pause, where attention may be anywhere. From the starter aligner,
whose starts are 18 ms off at the median."""
LEAST_SHARE = 0.5
MOST_SECONDS = 0.3
"""A word that seems to be further off was not found; if half of them were not, nothing is known of the model."""


def known_sound() -> Audio:
    """The sound with these words."""
    with wave.open(str(SOUND)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(32768)


def lateness(starts: Sequence[float]) -> float:
    """By how many seconds words that were found to start then are late, below 0 if they are early; 0 if none fit.

    The mean: attention has a long tail on its early side, and it is the tail that should shrink.
    """
    if len(starts) != len(STARTS):
        return 0.0
    late = [found - known for found, known in zip(starts, STARTS, strict=True) if known is not None]
    near = [one for one in late if abs(one) <= MOST_SECONDS]
    return fmean(near) if len(near) >= LEAST_SHARE * len(late) else 0.0
