"""What the MLX transcriber gives its encoder: windows as long as their sounds, and no sound twice."""

from typing import Any

import numpy as np
import pytest

from workers.engine import SAMPLE_RATE, Audio, DecodeOptions
from workers.mlx import transcriber as mlx_transcriber
from workers.mlx.model import MlxModel, import_bare
from workers.mlx.transcriber import MlxTranscriber

mx = pytest.importorskip("mlx.core")


@pytest.fixture
def transcriber() -> MlxTranscriber:
    """With a network so small that it knows nothing."""
    import_bare("mlx_whisper")
    from mlx_whisper.whisper import ModelDimensions, Whisper

    network = Whisper(ModelDimensions(80, 1500, 8, 1, 1, 60, 20, 8, 1, 1), mx.float32)
    engine = MlxTranscriber()
    engine.model = MlxModel("tiny", network, "cpu", (mx.default_stream(mx.cpu), mx.new_stream(mx.cpu)))
    return engine


@pytest.fixture
def encoded_together(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The frames of the windows that were encoded side by side, a list for each call."""
    calls: list[list[int]] = []
    encode = mlx_transcriber.encode

    def noted(network: Any, mels: list[Any], *rest: Any) -> list[Any]:
        calls.append([len(mel) for mel in mels])
        return encode(network, mels, *rest)

    monkeypatch.setattr(mlx_transcriber, "encode", noted)
    return calls


def sound(seconds: float) -> Audio:
    return np.random.default_rng(1).normal(size=int(seconds * SAMPLE_RATE)).astype(np.float32) / 10


def test_a_window_is_as_long_as_its_sound_and_like_windows_are_encoded_side_by_side(
    transcriber: MlxTranscriber, encoded_together: list[list[int]]
) -> None:
    seconds = (25.0, 7.0, 26.0, 8.0, 30.0)
    encoded = transcriber.encode([sound(one) for one in seconds], DecodeOptions("en"))
    assert [sorted(call) for call in encoded_together] == [[800, 900], [2600, 2700], [3000]]
    assert [len(one) for one in encoded] == [1300, 400, 1350, 450, 1500]
    assert sum(map(sum, encoded_together)) <= 1.1 * sum(seconds) * 100


def test_a_sound_that_comes_again_is_not_encoded_again_until_its_batch_is_done(
    transcriber: MlxTranscriber, encoded_together: list[list[int]]
) -> None:
    one, other = sound(6.0), sound(9.0)
    first, _ = transcriber.encode([one, other], DecodeOptions("en"))
    [again] = transcriber.encode([one], DecodeOptions("en"))
    assert again is first
    assert len(encoded_together) == 1
    transcriber.rest()
    transcriber.encode([one], DecodeOptions("en"))
    assert len(encoded_together) == 2


def test_a_sound_says_the_same_to_the_encoder_beside_another_as_alone(transcriber: MlxTranscriber) -> None:
    one, other = sound(6.0), sound(9.0)
    [alone] = transcriber.encode([one], DecodeOptions("en"))
    transcriber.rest()
    beside, _ = transcriber.encode([one, other], DecodeOptions("en"))
    assert np.array_equal(np.array(alone), np.array(beside))
