"""How much silence Whisper is shown behind a chunk, and of which kind."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workers.speech.mel_window import (
    LEAST_WINDOW,
    WHOLE_WINDOW,
    MelBank,
    in_windows,
    short_window_frames,
    window_frames,
)

MULTIPLY = """
import numpy as np
from workers.speech.mel_window import MelBank
drawn = np.random.default_rng(0)
power = drawn.random((3000, 201), np.float32).T
bank = MelBank(drawn.random((80, 201), np.float32) * (drawn.random((80, 201)) < 0.1))
print((bank @ power).tobytes().hex())
"""


@pytest.mark.parametrize(
    ("chunk", "window"),
    [
        (1, LEAST_WINDOW),
        (1130, 1330),
        (1131, 1368),
        (1396, 1596),
        (1397, 1862),
        (2194, 2394),
        (2900, 3000),
        (3000, 3000),
    ],
)
def test_a_window_is_the_chunk_and_two_to_five_seconds_more_up_to_what_whisper_knows(chunk: int, window: int) -> None:
    assert window_frames(chunk) == window <= WHOLE_WINDOW


@pytest.mark.parametrize(
    ("chunk", "window"), [(1, 600), (500, 600), (501, 610), (1130, 1230), (1131, 1240), (2900, 3000), (3000, 3000)]
)
def test_a_short_window_is_the_chunk_and_hardly_more(chunk: int, window: int) -> None:
    assert short_window_frames(chunk) == window


def test_every_chunk_is_followed_by_the_silence_that_whisper_was_taught() -> None:
    loud, soft = np.full((80, 500), 1.5, np.float32), np.full((80, 1200), -0.5, np.float32)
    soft[0, 0] = 0.25
    batch = in_windows([loud, soft], 1000)
    assert batch.shape == (2, 80, 1000)
    assert np.array_equal(batch[0, :, :500], loud)
    assert np.all(batch[0, :, 500:] == np.float32(-0.5))
    assert np.array_equal(batch[1], soft[:, :1000])


def test_whispers_own_silence_is_that_of_padded_audio() -> None:
    extractor = pytest.importorskip("faster_whisper.feature_extractor").FeatureExtractor()
    # Loud, then a hush: like speech with a pause, it reaches down to Whisper's floor.
    sound = np.concatenate([np.random.default_rng(0).normal(0, 0.1, 32_000), np.zeros(16_000)]).astype(np.float32)
    ours = in_windows([extractor(sound)[:, :-1]], 1000)[0]
    padded = extractor(np.pad(sound, (0, 7 * 16_000)))[:, :1000]
    assert ours == pytest.approx(padded, abs=1e-4)


def test_mels_are_the_same_to_the_last_bit_with_any_number_of_threads() -> None:
    root = Path(__file__).parents[4]
    told = [
        subprocess.run(
            [sys.executable, "-c", MULTIPLY],
            env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for threads in ("1", "2", "4")
    ]
    assert told[0] == told[1] == told[2] != b""


def test_the_bank_of_mels_is_the_table_it_is_made_of() -> None:
    drawn = np.random.default_rng(0)
    table = (drawn.random((80, 201)) * (drawn.random((80, 201)) < 0.05)).astype(np.float32)
    power = drawn.random((201, 30), np.float32)
    assert MelBank(table) @ power == pytest.approx(table @ power, rel=1e-5)
