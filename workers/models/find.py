"""A model's name → a verified local folder.

Runs in: worker. Nothing here asks the network unless the model is missing and the owner allows it.
"""

import sys
import zipfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from config.model_names import DEFAULT_MODEL, HUB_ID, HUB_IDS, ModelEngine
from workers.engine import EngineRefusal
from workers.models.ct2_reader import NotCTranslate2, read_variables
from workers.models.ct2_to_mlx import converted_folder
from workers.models.download import describe, fetch_snapshot
from workers.models.hub_cache import cached_snapshot
from workers.models.starter import find_starter

MLX_WEIGHTS = ("weights.safetensors", "weights.npz")
MLX_FILES = ("config.json", *MLX_WEIGHTS)
CTRANSLATE2_FILES = (
    "config.json",
    "model.bin",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocabulary.json",
    "vocabulary.txt",
)


def find_model(
    name: str | None, engine: ModelEngine, models_folder: Path, allow_download: bool, downloading: Callable[[], None]
) -> Path:
    """The folder of a whole model that `engine` opens as it is.

    `name` is a known short name, `starter`, a folder, a hub id `owner/name`, or None for the engine's default.
    A CTranslate2 folder given to mlx is converted once and kept in `models_folder`. `downloading` is called now and
    then while bytes arrive or are worked on.

    Raises EngineRefusal `unknown_model`, `needs_model` (known, but not on this machine) or `model_damaged`.
    """
    name = name or DEFAULT_MODEL[engine]
    known = HUB_IDS[engine]
    folder = Path(name).expanduser()
    if name == "starter":
        found, label = find_starter(), "starter"
    elif name in known:
        found, label = find_on_hub(known[name], name, engine, allow_download, downloading), name
    elif folder.is_dir():
        found, label = folder.absolute(), folder.absolute().name
    elif HUB_ID.fullmatch(name):
        found, label = find_on_hub(name, name, engine, allow_download, downloading), name.replace("/", "--")
    elif folder.is_absolute():
        # A disk that is not mounted: what waits for its return must not fail for it.
        raise EngineRefusal(
            "needs_model", f"needs model {name}, a folder", "put it there, mount its disk, or name another model"
        )
    else:
        raise unknown_model(name, engine)
    check_files(found, engine)
    if engine == "mlx" and not holds_mlx(found):
        # Half precision is the native format of Metal, and slower or not there at all on a CPU (ml-explore/mlx#2037).
        return converted_folder(found, label, models_folder, sys.platform == "darwin", downloading)
    return found


def unknown_model(name: str, engine: ModelEngine) -> EngineRefusal:
    names = [*HUB_IDS[engine], "starter"]
    near = get_close_matches(name, names, n=3, cutoff=0.4)
    return EngineRefusal(
        "unknown_model",
        f"there is no model or folder {name!r} for {engine}",
        f"did you mean {' or '.join(near)}?" if near else f"take one of {', '.join(names)}, a hub id or a folder",
    )


def find_on_hub(
    hub_id: str, name: str, engine: ModelEngine, allow_download: bool, downloading: Callable[[], None]
) -> Path:
    """The snapshot in the shared Hugging Face cache, fetched first if need be. Raises EngineRefusal `needs_model`."""
    wanted = sorted({*MLX_FILES, *CTRANSLATE2_FILES}) if engine == "mlx" else list(CTRANSLATE2_FILES)
    cached = cached_snapshot(hub_id, wanted)
    if cached is not None and not missing_files(cached, engine):
        return cached
    why = ""
    if allow_download:
        try:
            folder, _ = fetch_snapshot(hub_id, describe(hub_id), wanted, lambda *how_far: downloading())
            return folder
        except EngineRefusal as refusal:
            why = f": {refusal.message}"
    raise EngineRefusal(
        "needs_model",
        f"needs model {name}{why}",
        f"run `steno models pull {name}` on a machine with network, name a folder, or use the model `starter`",
    )


def check_files(folder: Path, engine: ModelEngine) -> None:
    """Raises EngineRefusal `model_damaged` if a file the engine needs is missing or not whole."""
    if missing := missing_files(folder, engine):
        raise EngineRefusal(
            "model_damaged",
            f"{folder} is not a model for {engine}: {missing} is missing",
            f"{engine} wants {'config.json and weights.safetensors' if engine == 'mlx' else 'a CTranslate2 folder'}",
        )
    for name in (*MLX_WEIGHTS, "model.bin"):
        if (folder / name).exists() and (why := what_is_torn(folder / name)):
            raise EngineRefusal(
                "model_damaged", f"{folder / name} is not whole: {why}", f"delete {folder} and fetch the model again"
            )


def holds_mlx(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MLX_WEIGHTS)


def missing_files(folder: Path, engine: ModelEngine) -> str | None:
    """The first file without which the engine cannot open the folder."""
    if engine == "mlx":
        if not holds_mlx(folder) and not (folder / "model.bin").is_file():
            return MLX_WEIGHTS[0]
        return None if (folder / "config.json").is_file() else "config.json"
    # Without tokenizer.json faster-whisper would ask the hub for one.
    for name in ("model.bin", "tokenizer.json"):
        if not (folder / name).is_file():
            return name
    return (
        None if any((folder / f"vocabulary.{ending}").is_file() for ending in ("txt", "json")) else "vocabulary.txt"
    )


def what_is_torn(weights: Path) -> str | None:
    """Why a file of weights cannot be whole, judged from its table of contents; None if it seems to be."""
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
