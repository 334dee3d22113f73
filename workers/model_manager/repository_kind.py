"""What a repository holds, told from the names of its files: pure.

Runs in: worker.
"""

from collections.abc import Collection
from typing import Literal

from config.model_names import ModelEngine
from workers.models import find as models
from workers.models import find_aligner as alignment_models

Kind = Literal["whisper", "wav2vec2"]
"""A transcriber's model (and the mlx aligner's), or WhisperX's kind of aligner."""


class NotAModel(Exception):
    """None of our engines opens what is there; the message says what is missing."""


def kind_of(names: Collection[str], model_type: str | None) -> tuple[Kind, ModelEngine]:
    """`model_type` as config.json has it. Raises NotAModel."""
    if "model.bin" in names:
        return "whisper", "whisperx"
    if any(weights in names for weights in models.MLX_WEIGHTS):
        return "whisper", "mlx"
    if model_type == "whisper":
        raise NotAModel(
            "it is a whisper for the transformers library; the mlx and whisperx engines want another form"
        )
    if "vocab.json" in names and any(weights in names for weights in alignment_models.WEIGHTS):
        return "wav2vec2", "whisperx"
    raise NotAModel("it holds neither a whisper for mlx or whisperx nor a wav2vec2 with its letters (vocab.json)")


def files_to_fetch(kind: Kind, engine: ModelEngine, names: Collection[str]) -> tuple[str, ...]:
    """Of all that is there what the engine reads, weights last and only once. Raises NotAModel."""
    if kind == "wav2vec2":
        return _all_of(
            names, alignment_models.DESCRIPTION_FILES, alignment_models.WEIGHTS, ("config.json", "vocab.json")
        )
    if engine == "mlx" and any(weights in names for weights in models.MLX_WEIGHTS):
        return _all_of(names, ("config.json",), models.MLX_WEIGHTS, ("config.json",))
    # mlx opens a CTranslate2 folder too: it is converted at the first start.
    description = [name for name in models.CTRANSLATE2_FILES if name != "model.bin"]
    return _all_of(names, description, ("model.bin",), ("tokenizer.json",) if engine == "whisperx" else ())


def _all_of(
    names: Collection[str], description: Collection[str], weights: Collection[str], must: Collection[str]
) -> tuple[str, ...]:
    best = next((one for one in weights if one in names), None)
    if best is None or (missing := [one for one in must if one not in names]):
        raise NotAModel(f"{' or '.join(weights) if best is None else ' and '.join(missing)} is missing")
    return (*(one for one in description if one in names), best)
