"""Resolves a model's name to a verified local folder.

Runs in: worker. Uses the network only if the model is missing and the settings allow downloads.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import assert_never

from config.model_names import DEFAULT_MODEL, ModelEngine
from workers.engine import EngineRefusal
from workers.models.contents import (
    ModelKind,
    NotAModel,
    check_files,
    files_to_fetch,
    holds_mlx,
    missing_file,
    names_of,
)
from workers.models.ct2_to_mlx import converted_folder
from workers.models.download import describe, fetch_snapshot, names_in
from workers.models.hub_cache import cached_snapshot
from workers.models.source import model_source
from workers.models.starter import find_starter


def find_model(
    name: str | None, engine: ModelEngine, models_folder: Path, allow_download: bool, downloading: Callable[[], None]
) -> Path:
    """The folder of a complete model that `engine` can open.

    `name` is a known short name, `starter`, a folder, a hub id `owner/name`, or None for the engine's default. A
    CTranslate2 folder given to mlx is converted once and kept in `models_folder`. `downloading` is called regularly
    while bytes are downloaded or converted.

    Raises EngineRefusal `unknown_model`, `needs_model` (known, but not on this machine) or `model_damaged`.
    """
    name = name or DEFAULT_MODEL[engine]
    folder = Path(name).expanduser()
    if folder.is_absolute() and not folder.is_dir():
        # The disk may be unmounted: the job waits for it and must not fail.
        raise EngineRefusal(
            "needs_model", f"needs model {name}, a folder", "put it there, mount its disk, or name another model"
        )
    source = model_source(name, "whisper", engine)
    match source.origin:
        case "starter":
            found, label = find_starter(), name
        case "folder":
            found, label = Path(source.id), Path(source.id).name
        case "hub":
            needs = partial(needs_model, name)
            found = find_on_hub(source.id, "whisper", engine, needs, downloading if allow_download else None)
            label = name.replace("/", "--")
        case "bundle":
            raise AssertionError("torchaudio has no whisper")
        case _:
            assert_never(source.origin)
    check_files("whisper", engine, found)
    if engine == "mlx" and not holds_mlx(names_of(found)):
        # Half precision is the native format of Metal, and slower or not there at all on a CPU (ml-explore/mlx#2037).
        return converted_folder(found, label, models_folder, sys.platform == "darwin", downloading)
    return found


def needs_model(name: str, why: str) -> EngineRefusal:
    return EngineRefusal(
        "needs_model",
        f"needs model {name}{why}",
        f"run `steno models pull {name}` on a machine with network, name a folder, or use the model `starter`",
    )


def find_on_hub(
    hub_id: str,
    kind: ModelKind,
    engine: ModelEngine,
    refused: Callable[[str], EngineRefusal],
    downloading: Callable[[], None] | None,
) -> Path:
    """The snapshot in the shared Hugging Face cache, downloaded if needed; `downloading` None: never download.

    Raises the EngineRefusal that `refused` builds from the reason, which is empty or begins with a colon.
    """
    cached = cached_snapshot(hub_id)
    if cached is not None and missing_file(kind, engine, names_of(cached)) is None:
        return cached
    if downloading is None:
        raise refused("")
    try:
        about = describe(hub_id)
        wanted = files_to_fetch(kind, engine, names_in(about))
        folder, _ = fetch_snapshot(hub_id, about, wanted, lambda *how_far: downloading())
        return folder
    except EngineRefusal as refusal:
        raise refused(f": {refusal.message}") from refusal
    except NotAModel as why:
        raise refused(f": on the hub {why}") from why
