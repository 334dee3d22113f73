"""How late a model is, is told by a sound whose words are known, and nonsense is not believed.

Runs in: the test process.
"""

import pytest

from workers.engine import SAMPLE_RATE
from workers.mlx.aligner import STARTS, TEXT, calibration_sound, mean_delay


def found(late: float) -> list[float]:
    return [9.0 if start is None else start + late for start in STARTS]


@pytest.mark.parametrize("late", [-0.06, 0.0, 0.09])
def test_a_model_is_as_late_as_most_of_its_words_but_those_behind_pauses(late: float) -> None:
    starts = found(late)
    starts[3] += 1.0
    assert mean_delay(starts) == pytest.approx(late)


def test_what_does_not_follow_the_sound_corrects_nothing() -> None:
    assert mean_delay([]) == mean_delay(found(0.0)[1:]) == mean_delay(found(1.0)) == 0.0


def test_the_sound_holds_the_words_it_is_known_for() -> None:
    assert len(STARTS) == len(TEXT.split())
    sound = calibration_sound()
    assert max(start for start in STARTS if start is not None) < len(sound) / SAMPLE_RATE < 10
    assert 0.1 < abs(sound).max() <= 1
