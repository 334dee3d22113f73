"""CTranslate2's file, written here byte by byte, read back and renamed for MLX."""

from pathlib import Path

import numpy as np
import pytest
from ctranslate2_model import STATE, model_bin, tiny_whisper
from hypothesis import given
from hypothesis import strategies as st

from workers.models.ct2_reader import NotCTranslate2, find_dimensions, mlx_weights, read_variables


def test_stacked_projections_are_taken_apart_and_convolutions_turned(tmp_path: Path) -> None:
    stored = tiny_whisper(np.random.default_rng(1))
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin(stored))

    variables = read_variables(path)
    dimensions = find_dimensions(variables)
    weights = mlx_weights(variables, dimensions, np.float32)

    assert (dimensions.n_mels, dimensions.n_audio_layer, dimensions.n_text_layer) == (80, 1, 1)
    assert (dimensions.n_vocab, dimensions.n_text_ctx, dimensions.n_text_head) == (50, 448, 1)
    stack = stored["encoder/layer_0/self_attention/linear_0/weight"]
    for place, part in enumerate(("query", "key", "value")):
        rows = stack[place * STATE : (place + 1) * STATE]
        assert np.array_equal(weights[f"encoder.blocks.0.attn.{part}.weight"], rows)
    cross = stored["decoder/layer_0/attention/linear_1/bias"]
    assert np.array_equal(weights["decoder.blocks.0.cross_attn.value.bias"], cross[STATE:])
    assert not any(name.endswith("key.bias") for name in weights)
    assert np.array_equal(weights["encoder.conv1.weight"][:, 2, :], stored["encoder/conv1/weight"][:, :, 2])
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    assert len(weights) == 2 * 2 + 2 + 2 * 2 + 15 + 24


def test_int8_weights_are_given_their_scale_back(tmp_path: Path) -> None:
    stored = tiny_whisper(np.random.default_rng(2))
    name = "encoder/layer_0/ffn/linear_0/weight"
    exact = stored[name].astype(np.float32)
    scale = (127 / np.abs(exact).max(axis=1)).astype(np.float32)
    stored |= {name: np.round(exact * scale[:, None]).astype(np.int8), f"{name}_scale": scale}
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin(stored))

    variables = read_variables(path)
    weights = mlx_weights(variables, find_dimensions(variables), np.float32)

    assert np.abs(weights["encoder.blocks.0.mlp1.weight"] - exact).max() <= (0.5 / scale).max() * 1.01


WHOLE = model_bin({name: array[:1] for name, array in tiny_whisper(np.random.default_rng(3)).items()})


@given(st.integers(0, len(WHOLE) - 1))
def test_a_torn_file_is_refused_wherever_it_ends(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.bin"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(NotCTranslate2):
        read_variables(path)


@pytest.mark.parametrize("content", [model_bin({}, spec="TransformerSpec"), model_bin({}, version=9)])
def test_other_models_and_versions_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(NotCTranslate2):
        read_variables(path)


def test_a_missing_weight_is_named(tmp_path: Path) -> None:
    stored = tiny_whisper(np.random.default_rng(4))
    del stored["decoder/layer_norm/beta"]
    path = tmp_path / "model.bin"
    path.write_bytes(model_bin(stored))
    variables = read_variables(path)
    with pytest.raises(NotCTranslate2, match="decoder/layer_norm/beta"):
        mlx_weights(variables, find_dimensions(variables), np.float16)
