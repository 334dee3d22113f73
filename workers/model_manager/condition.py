"""The condition of a model on this machine: whole, missing or damaged.

Runs in: worker. Uses no network and loads no model library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from config.engines import ModelNeeded
from config.model_names import HUB_IDS
from workers.engine import EngineRefusal
from workers.models.contents import check_files, missing_file, names_of
from workers.models.find_aligner import starter_aligner
from workers.models.hub_cache import cached_snapshot, damaged_file
from workers.models.source import ModelSource, model_source
from workers.models.starter import find_starter
from workers.models.torch_bundles import bundle_file, damage_in_bundle

Condition = Literal["whole", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelOnDisk:
    """A model's condition, its path and, unless it is whole, the reason."""

    condition: Condition
    path: Path | None = None
    """Where it is or will be; None: no path yet."""
    why: str = ""
    """What is missing or damaged."""
    hint: str = ""


def name_of(source: ModelSource) -> str:
    """The name that users type: the short name if it has one."""
    if source.origin == "hub" and source.kind == "whisper":
        return next((name for name, hub_id in HUB_IDS[source.engine].items() if hub_id == source.id), source.id)
    return source.id


def source_of(needed: ModelNeeded) -> ModelSource:
    """Where the model of this name comes from. Raises EngineRefusal `unknown_model`."""
    wants_wav2vec2 = needed.use == "aligner" and needed.engine == "whisperx"
    return model_source(needed.name, "wav2vec2" if wants_wav2vec2 else "whisper", needed.engine)


def condition_of(source: ModelSource, step: Callable[[], None], *, deep: bool) -> ModelOnDisk:
    """The model's condition. `deep`: read every byte; `step` is called between pieces."""
    try:
        match source.origin:
            case "starter":
                return _starter(source, deep=deep)
            case "bundle":
                return _bundle(source, step, deep=deep)
            case "folder":
                check_files(source.kind, source.engine, Path(source.id))
                return ModelOnDisk("whole", Path(source.id))
            case "hub":
                return _in_hub_cache(source, step, deep=deep)
            case _:
                assert_never(source.origin)
    except EngineRefusal as refusal:
        condition: Condition = "missing" if refusal.code == "needs_model" else "damaged"
        return ModelOnDisk(condition, why=refusal.message, hint=refusal.hint)
    except OSError as error:
        return ModelOnDisk(
            "damaged", why=f"{error.filename}: {error.strerror}", hint="make it readable for this user"
        )


def _starter(source: ModelSource, *, deep: bool) -> ModelOnDisk:
    if source.kind == "whisper":
        return ModelOnDisk("whole", find_starter(deep=deep))
    return ModelOnDisk("whole", starter_aligner(deep=deep).folder)


def _bundle(source: ModelSource, step: Callable[[], None], *, deep: bool) -> ModelOnDisk:
    file = bundle_file(source.id)
    if not file.is_file():
        return ModelOnDisk("missing", file)
    torn = damage_in_bundle(file, step, deep=deep)
    return ModelOnDisk("whole", file) if torn is None else ModelOnDisk("damaged", file, f"{file}: {torn}")


def _in_hub_cache(source: ModelSource, step: Callable[[], None], *, deep: bool) -> ModelOnDisk:
    folder = cached_snapshot(source.id)
    if folder is None or missing_file(source.kind, source.engine, names_of(folder)) is not None:
        return ModelOnDisk("missing", folder)
    if deep and (file := damaged_file(folder, step)):
        return ModelOnDisk("damaged", folder, f"{file} does not have the hash it is filed under")
    check_files(source.kind, source.engine, folder)
    return ModelOnDisk("whole", folder)
