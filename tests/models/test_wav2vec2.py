"""The aligner's own reading of models and its own network, held against transformers, torchaudio and whisperx.

Runs in: the test process.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.models.find_aligner import STARTER_FOLDER
from workers.models.torch_bundles import bundle_file
from workers.wav2vec2 import precision as network_precision
from workers.wav2vec2.ctc_path import align_letters
from workers.wav2vec2.network import CtcNetwork
from workers.wav2vec2.precision import (
    TIMED_AT_MOST,
    Trial,
    check_sound,
    is_as_good,
    probability_moved,
    same_where_sure,
    timed_fairly,
)
from workers.wav2vec2.quantized_linear import MatrixKind, eight_bit, exact, sixteen_bit
from workers.wav2vec2.weights import CtcModel, letters_of, read_bundle, read_folder

pytestmark = pytest.mark.models

SMALL = {
    "vocab_size": 32,
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "conv_dim": (64, 80, 72),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 4, 4),
    "num_conv_pos_embedding_groups": 4,
}
ADDED = {"__type": "AddedToken", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}


def save(folder: Path, *, pickled: bool = False, **config: Any) -> Any:
    """A random network of transformers' in a folder with the starter's letters."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    network = Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL, **config)).eval()
    network.save_pretrained(folder, safe_serialization=not pickled)
    for name in ("vocab.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(STARTER_FOLDER / name, folder)
    return network


def scores_by(network: Any, samples: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.log_softmax(network(samples[None])[0][0], dim=-1)


def model_in(folder: Path) -> CtcModel:
    model = read_folder(folder)
    assert model is not None
    return model


def network_in(folder: Path, kind: MatrixKind = exact) -> CtcNetwork:
    model = model_in(folder)
    return CtcNetwork(model.architecture, model.weights, kind)


@pytest.mark.parametrize(
    "config",
    [
        {"feat_extract_norm": "group", "do_stable_layer_norm": False},
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True, "pickled": True},
        {"feat_extract_norm": "layer", "do_stable_layer_norm": False, "num_conv_pos_embeddings": 15},
    ],
    ids=["base", "large, pickled", "odd kernel"],
)
def test_the_network_computes_what_that_of_transformers_does(config: dict[str, Any], tmp_path: Path) -> None:
    theirs = save(tmp_path, **config)
    ours = network_in(tmp_path)
    for samples in (check_sound().repeat(3)[:40_001], check_sound()[:5_000], torch.zeros(4_000)):
        torch.testing.assert_close(ours(samples), scores_by(theirs, samples), atol=2e-5, rtol=0)


def test_the_network_of_a_bundle_computes_what_torchaudios_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchaudio import models, pipelines

    bundle = pipelines.WAV2VEC2_ASR_BASE_960H
    small = {"extractor_conv_layer_config": [(64, 10, 5), (64, 3, 4), (64, 2, 4)], "encoder_num_layers": 2}
    monkeypatch.setattr(bundle, "_params", bundle._params | small)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = bundle_file("WAV2VEC2_ASR_BASE_960H")
    file.parent.mkdir(parents=True)
    torch.save(models.wav2vec2_model(**bundle._params | {"aux_num_out": 32}).state_dict(), file)
    model = read_bundle("WAV2VEC2_ASR_BASE_960H", file)
    ours = CtcNetwork(model.architecture, model.weights, exact)(check_sound())
    torch.testing.assert_close(ours, scores_by(bundle.get_model(), check_sound()), atol=2e-5, rtol=0)
    assert (model.letters["-"], model.letters["|"], model.letters["z"], model.blank) == (0, 1, 28, 0)


@pytest.mark.parametrize("name", ["FR", "DE", "ES", "IT"])
def test_the_other_bundles_are_of_the_same_kind(name: str) -> None:
    from torchaudio import pipelines

    bundle = getattr(pipelines, f"VOXPOPULI_ASR_BASE_10K_{name}")
    assert (bundle._model_type, bundle._normalize_waveform) == ("Wav2Vec2", False)
    assert bundle._params["aux_num_out"] == len(bundle.get_labels())


@pytest.mark.parametrize(
    ("vocabulary", "told"),
    [
        ({"<pad>": 0, "|": 4, "E": 5, "e": 6}, {}),
        ({"|": 0, "a": 1, "[UNK]": 2, "[PAD]": 3}, {"unk_token": "[UNK]", "pad_token": "[PAD]"}),
        (
            {"|": 0, "a": 1, "[PAD]": 2},
            {"pad_token": "[PAD]", "bos_token": None, "eos_token": ADDED | {"content": "</s>"}},
        ),
        (
            {"|": 0, "a": 1, "[UNK]": 2, "[PAD]": 3},
            {"pad_token": "[PAD]", "added_tokens_decoder": {"4": {"content": "<s>"}, "5": {"content": "</s>"}}},
        ),
    ],
    ids=["in two cases", "with names of its own", "with less than usual", "with added tokens"],
)
def test_the_letters_are_those_of_the_tokenizer(
    vocabulary: dict[str, int], told: dict[str, Any], tmp_path: Path
) -> None:
    from transformers import Wav2Vec2CTCTokenizer

    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told | {"tokenizer_class": "Wav2Vec2CTCTokenizer"}))
    theirs = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path).get_vocab()
    assert letters_of(vocabulary, tmp_path) == {symbol.lower(): column for symbol, column in theirs.items()}


@st.composite
def texts(draw: st.DrawFn) -> tuple[torch.Tensor, list[int], int]:
    frames, width = draw(st.integers(1, 40)), draw(st.integers(2, 8))
    columns = draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=frames))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal((frames, width))
    scores = torch.log_softmax(
        torch.from_numpy((noise * draw(st.sampled_from([0.0, 1.0, 20.0]))).astype("f4")), dim=-1
    )
    return (scores.round() if draw(st.booleans()) else scores), columns, draw(st.integers(0, width - 1))


@settings(deadline=None, max_examples=150)
@given(texts())
def test_the_way_through_the_letters_is_whisperxs_own(drawn: tuple[torch.Tensor, list[int], int]) -> None:
    from whisperx import alignment

    scores, columns, blank = drawn
    trellis = alignment.get_trellis(scores, torch.tensor(columns), blank)
    path = alignment.backtrack(trellis, scores, columns, blank)
    ours = align_letters(scores.numpy(), columns, blank)
    if path is None or ours is None:
        assert path is ours is None
        return
    theirs = alignment.merge_repeats(path, ["x"] * len(columns))
    assert ours.first_frames.tolist() == [letter.start for letter in theirs]
    assert ours.end_frames.tolist() == [letter.end for letter in theirs]
    assert ours.scores.tolist() == pytest.approx([letter.score for letter in theirs], abs=1e-6)


@pytest.mark.parametrize("kind", [sixteen_bit, eight_bit])
def test_the_starter_hears_the_same_in_reduced_precision(kind: MatrixKind) -> None:
    if kind is eight_bit and "onednn" not in torch.backends.quantized.supported_engines:
        pytest.skip("this build of PyTorch has no eight-bit products for this processor")
    full, reduced = (network_in(STARTER_FOLDER, one)(check_sound()) for one in (exact, kind))
    assert full.shape == reduced.shape
    assert 0 < probability_moved(full, reduced) <= 0.03
    assert same_where_sure(full, reduced)


def test_reduced_precision_is_taken_only_if_it_is_quicker_and_hears_the_same() -> None:
    scores = network_in(STARTER_FOLDER)(check_sound())
    full = Trial(scores, 1.0)
    assert is_as_good(full, Trial(scores, 0.5))
    assert not is_as_good(full, Trial(scores, 0.95))
    assert not is_as_good(full, Trial(scores.roll(1, dims=0), 0.5))
    assert not is_as_good(full, Trial(torch.full_like(scores, float("nan")), 0.5))


def test_a_slow_moment_does_not_decide_which_precision_is_taken() -> None:
    same = torch.zeros(1, 2).log_softmax(dim=1)
    other = torch.tensor([[0.0, -9.0]]).log_softmax(dim=1)

    def verdict(full: list[float], reduced: list[float], heard: torch.Tensor = same) -> tuple[bool, int]:
        """Whether the reduced one is taken, and how often it was timed."""
        trials = [
            iter([Trial(same, seconds) for seconds in full]),
            iter([Trial(heard, seconds) for seconds in reduced]),
        ]
        first = [next(each) for each in trials]
        best = timed_fairly(*first, *(each.__next__ for each in trials))
        return is_as_good(*best), len(reduced) - len(list(trials[1]))

    assert verdict([1.0], [0.5]) == (True, 1)
    assert verdict([1.0, 1.0], [0.9, 0.5]) == (True, 2), "a moment of the reduced one"
    assert verdict([1.0, 3.0, 1.0], [1.2, 1.2, 0.5]) == (True, 3)
    assert verdict([1.0] * 9, [0.9] * 9) == (False, TIMED_AT_MOST), "nor is it timed for ever"
    assert verdict([1.0], [0.9], other) == (False, 1), "what hears otherwise needs no second chance"


def test_a_network_that_hears_otherwise_is_dropped_for_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(weight: Any, bias: Any, alike: bool) -> Callable[[Any], Any]:
        return exact(torch.zeros_like(weight), bias)

    monkeypatch.setattr(network_precision, "LEAST_WEIGHTS", 0)
    monkeypatch.setattr(network_precision, "reduced_kinds", lambda flags, engines: {"deaf": deaf})
    chosen = network_precision.network_of(model_in(STARTER_FOLDER), "starter")
    torch.testing.assert_close(chosen(check_sound()), network_in(STARTER_FOLDER)(check_sound()))


def test_what_the_network_cannot_compute_is_left_to_whisperx(tmp_path: Path) -> None:
    for config in ({"hidden_act": "relu"}, {"adapter_attn_dim": 16}, {"model_type": "wavlm"}):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"} | config))
        (tmp_path / "vocab.json").write_text('{"a": 0}')
        assert read_folder(tmp_path) is None
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    (tmp_path / "vocab.json").write_text('{"eng": {"a": 0}, "deu": {"a": 0}}')
    assert read_folder(tmp_path) is None
