"""How loud speech is in a sound, and the same sound as loud as models know speech. Pure.

Runs in: worker.

Models were taught on speech of about one loudness. A recording 40 dB softer sounds the same to a person who turns the
knob; a network that was never shown such small numbers hears nothing, or letters half a second from where they are.
"""

import numpy as np
import numpy.typing as npt

from workers.engine import WINDOW_SAMPLES, Audio

USUAL_LEVEL = 0.182
"""Of the loud windows of speech, 15 dB below full scale: that of the recordings the models were measured with."""
NEARLY_USUAL = 2.0
"""Within 6 dB, models hear the same, so far as they ever do: a word that could be two hangs on the last bit."""
LOUDER_WINDOWS = 10
"""So many windows may be louder than the speech: a knock or a click is over in a third of a second."""
SOFTEST_LEVEL = 1e-6
"""Less is silence, and stays silence."""

Levels = npt.NDArray[np.float32]
"""One a window: the deviation of its samples from their mean, so that a constant offset is not loud."""


def levels_of(audio: Audio) -> Levels:
    """Of each whole window; of a sound shorter than one, its own."""
    windows = audio[: len(audio) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    levels: Levels = (windows if len(windows) else audio[None, :]).std(axis=1, dtype=np.float32)
    return levels


def speech_level(levels: Levels, louder_windows: int = LOUDER_WINDOWS) -> float:
    """That of the loudest windows but the very loudest; in a short sound a quarter of it counts as those."""
    if not levels.size:
        return 0.0
    passed_over = min(louder_windows, levels.size // 4)
    return float(np.partition(levels, levels.size - 1 - passed_over)[levels.size - 1 - passed_over])


def at_usual_loudness(audio: Audio, give_or_take: float = NEARLY_USUAL) -> Audio:
    """The sound with its speech at the usual level, around zero; what then is beyond full scale is cut off there.

    Speech that is less than `give_or_take` times softer or louder stays as it is.
    """
    level = speech_level(levels_of(audio)) if audio.size else 0.0
    if not SOFTEST_LEVEL < level < np.inf or 1 / give_or_take < level / USUAL_LEVEL < give_or_take:
        return audio
    louder: Audio = np.clip((audio - audio.mean()) * np.float32(USUAL_LEVEL / level), -1.0, 1.0)
    return louder
