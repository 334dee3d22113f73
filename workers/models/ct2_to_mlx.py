"""A CTranslate2 whisper folder → the same model as mlx-whisper reads it, made once and kept.

Runs in: worker. Needs neither mlx nor ctranslate2.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog

from ipc.durable_file import sync_path
from workers.engine import EngineRefusal
from workers.models.ct2_reader import NotCTranslate2, find_dimensions, mlx_weights, read_variables
from workers.models.starter import sha256_of

log = structlog.get_logger()

RECEIPT = "conversion.json"
"""Beside the converted weights: what they were made from and what they must still be."""
CONVERSION_VERSION = 1
"""Raised when the same input should give another output."""
WORK_SUFFIX = ".converting"
ABANDONED_AFTER_SECONDS = 6 * 3600.0


def converted_folder(source: Path, label: str, models_folder: Path, half: bool, step: Callable[[], None]) -> Path:
    """The MLX copy of the CTranslate2 model in `source`, kept in `models_folder`; converted now if missing or
    damaged.

    `half` keeps float16, otherwise the weights are float32. `step` is called between pieces of work.
    Two workers may do this at the same time: each writes its own folder, and whichever is renamed first stays.
    Raises EngineRefusal `model_damaged` if the source is not a whole whisper model.
    """
    number_format = "float16" if half else "float32"
    source_sha256 = sha256_of(source / "model.bin", step)
    target = models_folder / f"{label}-mlx-{number_format}-{source_sha256[:12]}"
    receipt = {"version": CONVERSION_VERSION, "source_sha256": source_sha256}
    if target.exists():
        if is_whole(target, receipt, step):
            return target
        log.warning("conversion_damaged", folder=str(target))
    models_folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(models_folder)
    work = Path(tempfile.mkdtemp(WORK_SUFFIX, f".{target.name}.", models_folder))
    try:
        convert(source, work, np.float16 if half else np.float32, receipt, step)
        publish(work, target, receipt, step)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    log.info("model_converted", folder=str(target))
    return target


def convert(
    source: Path, work: Path, dtype: type[np.floating], receipt: dict[str, object], step: Callable[[], None]
) -> None:
    """Writes config.json, weights.safetensors and the receipt into `work`, and fsyncs them."""
    from safetensors.numpy import save_file

    try:
        variables = read_variables(source / "model.bin")
        dimensions = find_dimensions(variables)
        weights = mlx_weights(variables, dimensions, dtype)
    except NotCTranslate2 as error:
        raise EngineRefusal("model_damaged", str(error), f"delete {source} and fetch the model again") from error
    step()
    if heads := alignment_heads(source):
        # As mlx-whisper's converter does; without them it uses every head of the decoder's upper half.
        weights["alignment_heads"] = np.array(heads, np.int32)
    save_file(weights, work / "weights.safetensors")
    step()
    (work / "config.json").write_text(json.dumps(dimensions.as_config(), indent=2))
    weights_sha256 = sha256_of(work / "weights.safetensors", step)
    (work / RECEIPT).write_text(json.dumps(receipt | {"weights_sha256": weights_sha256}, indent=2))
    for file in work.iterdir():
        sync_path(file)


def alignment_heads(source: Path) -> list[list[int]]:
    """The (layer, head) pairs whose attention follows the audio, from the model's config.json; empty if it has
    none."""
    try:
        heads = json.loads((source / "config.json").read_text()).get("alignment_heads", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [[int(layer), int(head)] for layer, head in heads]


def publish(work: Path, target: Path, receipt: dict[str, object], step: Callable[[], None]) -> None:
    """Renames the finished folder to its final name, unless a complete one has that name already."""
    try:
        work.rename(target)
    except OSError:  # another worker was quicker, or the existing folder is damaged
        if is_whole(target, receipt, step):
            return
        shutil.rmtree(target, ignore_errors=True)
        try:
            work.rename(target)
        except OSError:
            if not is_whole(target, receipt, step):
                raise
    sync_path(target.parent)


def is_whole(folder: Path, receipt: dict[str, object], step: Callable[[], None]) -> bool:
    """True: the folder contains this conversion, undamaged."""
    try:
        found = json.loads((folder / RECEIPT).read_text())
        expected = receipt | {"weights_sha256": sha256_of(folder / "weights.safetensors", step)}
        json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(found == expected)


def remove_abandoned(models_folder: Path) -> None:
    """Deletes unfinished conversions of crashed workers; a running conversion finishes long before this age."""
    for folder in models_folder.glob(f".*{WORK_SUFFIX}"):
        if time.time() - folder.stat().st_mtime > ABANDONED_AFTER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
