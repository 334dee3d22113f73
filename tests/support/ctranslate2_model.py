"""A whisper of two layers in CTranslate2's file format, for tests of its readers."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

CODES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}
STATE = 64

Array = npt.NDArray[Any]


def string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data


def model_bin(variables: Mapping[str, Array], spec: str = "WhisperSpec", version: int = 6) -> bytes:
    return b"".join(model_frames(variables, spec, version))


def model_frames(variables: Mapping[str, Array], spec: str = "WhisperSpec", version: int = 6) -> Iterator[bytes]:
    yield from (struct.pack("<I", version), string(spec), struct.pack("<II", 3, len(variables)))
    for name, array in variables.items():
        sizes = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        yield string(name) + sizes + struct.pack("<BI", CODES[array.dtype], array.nbytes)
        yield array.tobytes()


def alias_frames(aliases: Mapping[str, str]) -> Iterator[bytes]:
    """What follows the variables: other names of theirs."""
    yield struct.pack("<I", len(aliases))
    yield from (string(alias) + string(name) for alias, name in aliases.items())


def tiny_whisper(random: np.random.Generator) -> dict[str, Array]:
    """One layer in each half, of one head."""

    def some(*shape: int) -> npt.NDArray[np.float16]:
        return random.normal(size=shape).astype(np.float16)

    variables: dict[str, Array] = {
        "decoder/embeddings/weight": some(50, STATE),
        "decoder/position_encodings/encodings": some(448, STATE),
        "encoder/conv1/weight": some(STATE, 80, 3),
        "encoder/conv1/bias": some(STATE),
        "encoder/conv2/weight": some(STATE, STATE, 3),
        "encoder/conv2/bias": some(STATE),
    }
    sizes = {"self_attention/linear_0": (3, 1), "self_attention/linear_1": (1, 1), "ffn/linear_0": (4, 1)}
    sizes |= {"ffn/linear_1": (1, 4)}
    cross = {"attention/linear_0": (1, 1), "attention/linear_1": (2, 1), "attention/linear_2": (1, 1)}
    for half, linears, norms in (
        ("encoder", sizes, ("self_attention", "ffn")),
        ("decoder", sizes | cross, ("self_attention", "attention", "ffn")),
    ):
        for name, (rows, columns) in linears.items():
            variables[f"{half}/layer_0/{name}/weight"] = some(rows * STATE, columns * STATE)
            variables[f"{half}/layer_0/{name}/bias"] = some(rows * STATE)
        for norm in (*(f"layer_0/{norm}/layer_norm" for norm in norms), "layer_norm"):
            variables[f"{half}/{norm}/gamma"], variables[f"{half}/{norm}/beta"] = some(STATE), some(STATE)
    return variables
