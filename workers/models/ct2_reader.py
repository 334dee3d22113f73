"""Reads Whisper's weights from CTranslate2's file format with NumPy alone, and renames them for mlx-whisper.

Runs in: worker.

The file: uint32 version, string spec, uint32 revision, uint32 count, then for each variable string name, uint8 rank,
rank × uint32 sizes, uint8 dtype, uint32 bytes, data. A string is a uint16 length that counts its NUL, and its bytes.
Source: `Model::load` in https://github.com/OpenNMT/CTranslate2/blob/master/src/models/model.cc
"""

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
HEAD_SIZE = 64
"""Every Whisper model, from tiny to large, has attention heads of 64 dimensions."""
AUDIO_CONTEXT = 1500
"""Encoder frames in Whisper's window of 30 s."""

ENCODER_BLOCK = {
    "self_attention/layer_norm": "attn_ln",
    "self_attention/linear_1": "attn.out",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp1",
    "ffn/linear_1": "mlp2",
}
DECODER_BLOCK = ENCODER_BLOCK | {
    "attention/layer_norm": "cross_attn_ln",
    "attention/linear_0": "cross_attn.query",
    "attention/linear_2": "cross_attn.out",
}
STACKED = {
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
}
"""Projections that CTranslate2 stores stacked in one matrix."""
PARTS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


class NotCTranslate2(Exception):
    """The file is not a complete CTranslate2 Whisper model of the supported version."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The fields of mlx_whisper's config.json, under its names."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int

    def as_config(self) -> dict[str, int | str]:
        return {"model_type": "whisper", **asdict(self)}


def read_variables(path: Path) -> dict[str, Array]:
    """Name → array, each a read-only view into the mapped file. Raises NotCTranslate2 unless the file is whole."""
    variables: dict[str, Array] = {}
    size = path.stat().st_size
    if size == 0:
        raise NotCTranslate2(f"{path} is empty")
    mapped = np.memmap(path, mode="r")
    with path.open("rb") as file:
        version = read_number(file, "I")
        if version != VERSION:
            raise NotCTranslate2(f"{path} begins with version {version}, not {VERSION}")
        spec = read_string(file)
        if spec != "WhisperSpec":
            raise NotCTranslate2(f"{path} holds a {spec or 'nameless model'}, not a WhisperSpec")
        read_number(file, "I")  # the spec's revision: all revisions use the same names
        for _ in range(read_number(file, "I")):
            name = read_string(file)
            shape = tuple(read_number(file, "I") for _ in range(read_number(file, "B")))
            dtype = DTYPES.get(code := read_number(file, "B"))
            if dtype is None:
                raise NotCTranslate2(f"{path}: {name} has a number format we cannot read ({code})")
            length, start = read_number(file, "I"), file.tell()
            if start + length > size or length != int(np.prod(shape)) * np.dtype(dtype).itemsize:
                raise NotCTranslate2(f"{path} ends within {name}")
            variables[name] = np.frombuffer(mapped, np.uint8, length, start).view(dtype).reshape(shape)
            file.seek(length, 1)
    return variables


def read_number(file: BinaryIO, kind: str) -> int:
    data = file.read(struct.calcsize(f"<{kind}"))
    try:
        number: int = struct.unpack(f"<{kind}", data)[0]
    except struct.error:
        raise NotCTranslate2(f"{file.name} ends too early") from None
    return number


def read_string(file: BinaryIO) -> str:
    return file.read(read_number(file, "H")).rstrip(b"\0").decode("utf-8", "replace")


def find_dimensions(variables: dict[str, Array]) -> Dimensions:
    """The model's dimensions, from the shapes of its weights. Raises NotCTranslate2 if they are not Whisper's."""
    try:
        audio_state, mels, _ = variables["encoder/conv1/weight"].shape
        vocabulary, text_state = variables["decoder/embeddings/weight"].shape
        text_context, _ = variables["decoder/position_encodings/encodings"].shape
    except (KeyError, ValueError) as error:
        raise NotCTranslate2(f"not a whisper's weights: {error}") from error
    return Dimensions(
        n_mels=mels,
        n_audio_ctx=AUDIO_CONTEXT,
        n_audio_state=audio_state,
        n_audio_head=audio_state // HEAD_SIZE,
        n_audio_layer=count_layers(variables, "encoder"),
        n_vocab=vocabulary,
        n_text_ctx=text_context,
        n_text_state=text_state,
        n_text_head=text_state // HEAD_SIZE,
        n_text_layer=count_layers(variables, "decoder"),
    )


def count_layers(variables: dict[str, Array], half: str) -> int:
    return len(
        {name.split("/")[1] for name in variables if name.startswith(f"{half}/layer_") and name.count("/") > 2}
    )


def mlx_weights(variables: dict[str, Array], dimensions: Dimensions, dtype: npt.DTypeLike) -> dict[str, Array]:
    """mlx-whisper's name → array of `dtype`. The encoder's position table is left out: mlx-whisper computes it.

    Raises NotCTranslate2 if a weight is missing.
    """
    try:
        return {
            name: np.ascontiguousarray(weight, dtype)
            for name, weight in rename_all(Dequantised(variables), dimensions)
        }
    except KeyError as error:
        raise NotCTranslate2(f"weight {error} is missing") from error


@dataclass(frozen=True, slots=True)
class Dequantised:
    """The variables as floating point; quantised ones are dequantised when read."""

    stored: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        weight, scale = self.stored[name], self.stored.get(f"{name}_scale")
        if scale is None:
            return weight
        # One scale a row for int8, one for all for int16: quantised = round(weight × scale).
        return weight.astype(np.float32) / scale.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))

    def __contains__(self, name: str) -> bool:
        return name in self.stored


def rename_all(variables: Dequantised, dimensions: Dimensions) -> Iterator[tuple[str, Array]]:
    for conv in ("conv1", "conv2"):
        yield f"encoder.{conv}.weight", variables[f"encoder/{conv}/weight"].transpose(0, 2, 1)
        yield f"encoder.{conv}.bias", variables[f"encoder/{conv}/bias"]
    yield "decoder.token_embedding.weight", variables["decoder/embeddings/weight"]
    yield "decoder.positional_embedding", variables["decoder/position_encodings/encodings"]
    yield from rename_parts(variables, "encoder/layer_norm", "encoder.ln_post")
    yield from rename_parts(variables, "decoder/layer_norm", "decoder.ln")
    for layer in range(dimensions.n_audio_layer):
        yield from rename_block(variables, f"encoder/layer_{layer}", f"encoder.blocks.{layer}", ENCODER_BLOCK)
    for layer in range(dimensions.n_text_layer):
        yield from rename_block(variables, f"decoder/layer_{layer}", f"decoder.blocks.{layer}", DECODER_BLOCK)


def rename_block(
    variables: Dequantised, source: str, target: str, names: dict[str, str]
) -> Iterator[tuple[str, Array]]:
    for theirs, ours in names.items():
        yield from rename_parts(variables, f"{source}/{theirs}", f"{target}.{ours}")
    for theirs, stack in STACKED.items():
        if theirs.split("/")[0] + "/layer_norm" not in names:
            continue
        weights = np.split(variables[f"{source}/{theirs}/weight"], len(stack))
        biases = np.split(variables[f"{source}/{theirs}/bias"], len(stack))
        for ours, weight, bias in zip(stack, weights, biases, strict=True):
            yield f"{target}.{ours}.weight", weight
            if not ours.endswith(".key"):  # whisper's keys have no bias; CTranslate2 stores zeros
                yield f"{target}.{ours}.bias", bias


def rename_parts(variables: Dequantised, source: str, target: str) -> Iterator[tuple[str, Array]]:
    for theirs in ("gamma", "beta") if source.endswith("layer_norm") else ("weight", "bias"):
        yield f"{target}.{PARTS[theirs]}", variables[f"{source}/{theirs}"]
