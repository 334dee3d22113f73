"""A whisper of two layers in CTranslate2's file format, for tests of those who read it."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

CODES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}
STATE = 64


def string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data


def model_bin(variables: Mapping[str, npt.NDArray[Any]], spec: str = "WhisperSpec", version: int = 6) -> bytes:
    frames = [struct.pack("<I", version), string(spec), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        sizes = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        frames.append(string(name) + sizes + struct.pack("<BI", CODES[array.dtype], array.nbytes) + array.tobytes())
    return b"".join(frames)


def tiny_whisper(random: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """One layer in each half, of one head."""

    def some(*shape: int) -> npt.NDArray[np.float16]:
        return random.normal(size=shape).astype(np.float16)

    variables: dict[str, npt.NDArray[Any]] = {
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
