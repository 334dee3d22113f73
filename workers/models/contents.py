"""Detects the kind of model in a repository or folder from its file names, and checks that its weights are complete.

Runs in: worker.
"""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from config.model_names import ModelEngine
from workers.engine import EngineRefusal
from workers.models.ct2_reader import NotCTranslate2, read_variables

ModelKind = Literal["whisper", "wav2vec2"]
"""`whisper`: a transcriber's model, also used by the mlx aligner. `wav2vec2`: WhisperX's aligner."""
MLX_WEIGHTS = ("weights.safetensors", "weights.npz")
CTRANSLATE2_DESCRIPTION = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocabulary.json",
    "vocabulary.txt",
)
WAV2VEC2_DESCRIPTION = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)
WAV2VEC2_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Either is enough; the first is preferred, because the second is a pickle."""


class NotAModel(Exception):
    """No engine of stenod can open the files; the message names the missing file."""


def kind_of(names: Collection[str], model_type: str | None) -> tuple[ModelKind, ModelEngine]:
    """`model_type` as config.json has it. Raises NotAModel."""
    if "model.bin" in names:
        return "whisper", "whisperx"
    if holds_mlx(names):
        return "whisper", "mlx"
    if model_type == "whisper":
        raise NotAModel(
            "it is a whisper model for the transformers library; the mlx and whisperx engines need another format"
        )
    if "vocab.json" in names and any(weights in names for weights in WAV2VEC2_WEIGHTS):
        return "wav2vec2", "whisperx"
    raise NotAModel(
        "it contains neither a whisper model for mlx or whisperx nor a wav2vec2 model with its vocab.json"
    )


def files_to_fetch(kind: ModelKind, engine: ModelEngine, names: Collection[str]) -> tuple[str, ...]:
    """The files that the engine reads, with the weights in one format only. Raises NotAModel."""
    if missing := missing_file(kind, engine, names):
        raise NotAModel(f"{missing} is missing")
    description: tuple[str, ...]
    weights: tuple[str, ...]
    if kind == "wav2vec2":
        description, weights = WAV2VEC2_DESCRIPTION, WAV2VEC2_WEIGHTS
    elif engine == "mlx" and holds_mlx(names):
        description, weights = ("config.json",), MLX_WEIGHTS
    else:
        # mlx opens a CTranslate2 folder too: it is converted at the first start.
        description, weights = CTRANSLATE2_DESCRIPTION, ("model.bin",)
    return (*(one for one in description if one in names), next(one for one in weights if one in names))


def missing_file(kind: ModelKind, engine: ModelEngine, names: Collection[str]) -> str | None:
    """The first missing file that the engine needs, or None. Of alternative files the first is named."""
    match kind, engine:
        case "wav2vec2", _:
            needed: tuple[tuple[str, ...], ...] = (("config.json",), ("vocab.json",), WAV2VEC2_WEIGHTS)
        case _, "mlx":
            needed = ((*MLX_WEIGHTS, "model.bin"), ("config.json",))
        case _:
            # Without tokenizer.json faster-whisper would download one from the hub.
            needed = (("model.bin",), ("tokenizer.json",), ("vocabulary.txt", "vocabulary.json"))
    return next((either[0] for either in needed if not any(name in names for name in either)), None)


def holds_mlx(names: Collection[str]) -> bool:
    return any(name in names for name in MLX_WEIGHTS)


def names_of(folder: Path) -> set[str]:
    """The names of a folder's files. A snapshot's broken links are left out."""
    return {file.name for file in folder.iterdir() if file.is_file()}


def check_files(kind: ModelKind, engine: ModelEngine, folder: Path) -> None:
    """Raises EngineRefusal `model_damaged` if a file that the engine needs is missing or incomplete."""
    names = names_of(folder)
    if missing := missing_file(kind, engine, names):
        wants = {"mlx": "config.json and weights.safetensors", "whisperx": "a CTranslate2 folder"}[engine]
        raise EngineRefusal(
            "model_damaged",
            f"{folder} is not a {kind} model for {engine}: {missing} is missing",
            f"{engine} wants {wants if kind == 'whisper' else 'config.json, vocab.json and model.safetensors'}",
        )
    # pytorch_model.bin is a zip or a pickle: only loading it shows whether it is complete.
    for name in (*MLX_WEIGHTS, "model.bin") if kind == "whisper" else ("model.safetensors",):
        if name in names and (why := damage_in(folder / name)):
            raise EngineRefusal(
                "model_damaged", f"{folder / name} is not whole: {why}", f"delete {folder} and fetch the model again"
            )


def damage_in(weights: Path) -> str | None:
    """Why a weights file is incomplete, judged from its table of contents; None: no damage found."""
    match weights.suffix:
        case ".bin":
            try:
                read_variables(weights)
            except NotCTranslate2 as error:
                return str(error)
        case ".safetensors":
            from safetensors import SafetensorError, safe_open

            try:
                safe_open(weights, framework="numpy")
            except SafetensorError as error:
                return str(error)
        case ".npz" if not zipfile.is_zipfile(weights):
            return "its end is missing"
    return None
