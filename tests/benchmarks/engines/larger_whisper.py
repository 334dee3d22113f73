"""Whisper base grown to the size of medium: it hears what base hears, and costs what medium costs.

Runs in: the benchmark.

Medium needs a hub. Random weights of its size would say random things, for ever; so base is written twice, side by
side, which changes none of its sums (a matrix that is repeated in both directions is halved), and each layer is
followed by three that compute all they have and then add nothing.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ctranslate2_model import Array, alias_frames, model_frames

from workers.models.ct2_reader import read_variables

WIDER, DEEPER = 2, 4
"""512 × 6 layers become 1024 × 24."""
STACKED = {"self_attention/linear_0": 3, "/attention/linear_1": 2}
"""Projections that are one matrix, one above the other."""
LAST_OF_A_BLOCK = ("self_attention/linear_1", "/attention/linear_2", "ffn/linear_1")
"""What these give is added to what the layer was given."""
TIED = ("decoder/projection/weight", "decoder/embeddings/weight")


def write_larger_whisper(base: Path, folder: Path) -> None:
    """A folder as CTranslate2 opens it, 1.5 GB."""
    folder.mkdir(parents=True)
    variables = dict(grown(read_variables(base / "model.bin")))
    with (folder / "model.bin").open("wb") as file:
        file.writelines(model_frames(variables))
        file.writelines(alias_frames(dict([TIED])))
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        shutil.copyfile(base / name, folder / name)


def grown(variables: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """The same network, wider and deeper."""
    for name, array in variables.items():
        half, _, rest = name.partition("/layer_")
        larger = wider(name, array)
        if not rest or not rest[0].isdigit():
            yield name, larger
            continue
        number, _, part = rest.partition("/")
        for copy in range(DEEPER):
            idle = copy > 0 and any(last in f"/{part}" for last in LAST_OF_A_BLOCK)
            yield f"{half}/layer_{int(number) * DEEPER + copy}/{part}", np.zeros_like(larger) if idle else larger


def wider(name: str, array: Array) -> Array:
    """One variable for inputs and outputs that are repeated."""
    if name.endswith("/num_heads"):
        return np.multiply(array, WIDER, dtype=array.dtype)
    if array.ndim == 0:
        return array
    if name.endswith(("embeddings/weight", "encodings")):
        return np.tile(array, (1, WIDER))
    if name == "encoder/conv1/weight":
        return np.tile(array, (WIDER, 1, 1))
    if name.startswith("decoder/layer_norm/"):
        # The words' scores are sums over twice as many numbers.
        return (np.tile(array, WIDER) / WIDER).astype(array.dtype)
    stacks = next((count for part, count in STACKED.items() if part in name), 1)
    parts = array.reshape(stacks, -1, *array.shape[1:])
    if array.ndim == 1:
        return np.tile(parts, (1, WIDER)).reshape(-1)
    repeated = np.tile(parts, (1, WIDER, WIDER, *[1] * (array.ndim - 2)))
    return (repeated / WIDER).astype(array.dtype).reshape(-1, *repeated.shape[2:])
