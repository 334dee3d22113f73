"""How much silence Whisper is shown behind a chunk, and of which kind."""

import numpy as np
import pytest

from workers.mel_window import LEAST_WINDOW, WHOLE_WINDOW, in_windows, window_frames


@pytest.mark.parametrize(
    ("chunk", "window"), [(1, LEAST_WINDOW), (1130, 1330), (1131, 1596), (2194, 2394), (2900, 3000), (3000, 3000)]
)
def test_a_window_is_the_chunk_and_two_to_five_seconds_more_up_to_what_whisper_knows(chunk: int, window: int) -> None:
    assert window_frames(chunk) == window <= WHOLE_WINDOW


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
