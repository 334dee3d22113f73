"""A CTC model of the kinds that WhisperX uses, read directly from disk: its architecture, weights and letters.

Runs in: worker. Imports torch when a model is read.

WhisperX opens a folder through transformers, whose import takes three times as long as torch's, and a bundle through
torchaudio, which first fills it with random numbers. Names and shapes as in its `import_huggingface_model`.
"""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.wav2vec2.features import EPSILON
from workers.wav2vec2.network import Architecture

DEFAULTS: Mapping[str, Any] = {
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "num_attention_heads": 12,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
}
"""Defaults for a config.json, as in transformers' Wav2Vec2Config."""
ONLY_KIND: Mapping[str, Any] = {
    "model_type": "wav2vec2",
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": EPSILON,
    "add_adapter": False,
    "adapter_attn_dim": None,
}
"""The options that `workers.wav2vec2.network` supports; a model with other values is not supported."""
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
"""The tokenizer's special tokens, in the order in which it adds those that the vocabulary lacks."""
RENAMED = (
    (re.compile(r"^wav2vec2\.feature_extractor\."), "feature_extractor."),
    (re.compile(r"^wav2vec2\.feature_projection\."), "encoder.feature_projection."),
    (re.compile(r"^wav2vec2\.encoder\."), "encoder.transformer."),
    (re.compile(r"^lm_head\."), "aux."),
    (re.compile(r"\.weight_g$"), ".parametrizations.weight.original0"),
    (re.compile(r"\.weight_v$"), ".parametrizations.weight.original1"),
)
"""Hugging Face's names → torchaudio's; the last two are for normalized weights in older files."""


@dataclass(frozen=True, slots=True)
class CtcModel:
    """Everything that `workers.wav2vec2.network` and the CTC path need."""

    architecture: Architecture
    weights: Mapping[str, Any]
    """float32 tensors by torchaudio's names; most of them are mapped from the file."""
    letters: Mapping[str, int]
    """Symbol in lower case → column; a space is `|`."""
    blank: int


def read_folder(folder: Path) -> CtcModel | None:
    """A Hugging Face folder; None: only transformers can open it.

    Raises OSError, ValueError, KeyError or what the files' own readers raise if they are damaged.
    """
    config = json.loads((folder / "config.json").read_bytes())
    vocabulary = json.loads((folder / "vocab.json").read_bytes())
    if any(config.get(key, only) != only for key, only in ONLY_KIND.items()) or any(
        isinstance(column, dict) for column in vocabulary.values()
    ):
        return None
    told = {**DEFAULTS, **config}
    architecture = Architecture(
        strides=tuple(told["conv_stride"]),
        heads=told["num_attention_heads"],
        channels_normalized=told["feat_extract_norm"] == "group",
        normalized_before=told["do_stable_layer_norm"],
    )
    weights = {torchaudio_name(name): tensor.float() for name, tensor in read_weights(folder).items()}
    letters = {
        name: column
        for name, column in letters_of(vocabulary, folder).items()
        if column < len(weights["aux.bias"])  # the tokenizer adds some that the network does not have
    }
    return CtcModel(architecture, weights, letters, blank_of(letters))


def read_bundle(name: str, file: Path) -> CtcModel:
    """A torchaudio bundle with its weights in `file`. Raises as `read_folder`.

    As its `get_model`, without the random numbers: torchaudio keeps these facts in private fields.
    """
    import torch
    from torchaudio import pipelines

    bundle = getattr(pipelines, name)
    about = bundle._params
    weights: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    taught = [row for row in range(len(weights["aux.bias"])) if row not in bundle._remove_aux_axis]
    weights |= {name: weights[name][taught] for name in ("aux.weight", "aux.bias")}
    architecture = Architecture(
        strides=tuple(stride for _, _, stride in about["extractor_conv_layer_config"]),
        heads=about["encoder_num_heads"],
        channels_normalized=about["extractor_mode"] == "group_norm",
        normalized_before=about["encoder_layer_norm_first"],
    )
    letters = {letter.lower(): column for column, letter in enumerate(bundle.get_labels())}
    return CtcModel(architecture, weights, letters, blank_of(letters))


def read_weights(folder: Path) -> dict[str, Any]:
    """Tensors by Hugging Face's names. Mapped tensors are read when used."""
    import torch
    from safetensors import safe_open

    if (tensors := folder / "model.safetensors").is_file():
        with safe_open(tensors, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    pickled = folder / "pytorch_model.bin"
    weights: dict[str, Any] = torch.load(
        pickled, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(pickled)
    )
    return weights


def torchaudio_name(name: str) -> str:
    for pattern, other in RENAMED:
        name = pattern.sub(other, name)
    return name


def letters_of(vocabulary: Mapping[str, int], folder: Path) -> dict[str, int]:
    """Symbols in lower case → columns: `Wav2Vec2CTCTokenizer.get_vocab`, plus additions from the other files."""
    told = read_if_there(folder / "special_tokens_map.json") | read_if_there(folder / "tokenizer_config.json")
    added = dict(read_if_there(folder / "added_tokens.json"))
    for column, token in told.get("added_tokens_decoder", {}).items():
        added[token["content"]] = int(column)
    symbols = {**vocabulary, **added}
    for part, usual in SPECIAL_TOKENS.items():
        token = told.get(part, usual)
        content = token["content"] if isinstance(token, dict) else token
        if content is not None:
            symbols.setdefault(content, len(symbols))
    return {symbol.lower(): column for symbol, column in symbols.items()}


def blank_of(letters: Mapping[str, int]) -> int:
    """The column of CTC's blank, as `whisperx.align` finds it."""
    return next((column for letter, column in reversed([*letters.items()]) if letter in {"[pad]", "<pad>"}), 0)


def read_if_there(file: Path) -> dict[str, Any]:
    """Reads an optional JSON file of a model; empty if it is missing."""
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    return content
