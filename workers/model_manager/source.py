"""A model's name → where it comes from, and in which condition it lies on this machine.

Runs in: worker. Asks no network and loads no model library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, assert_never

from config.model_names import BUNDLE_FILES, HUB_ID, HUB_IDS, ModelEngine
from config.required_models import ModelNeeded
from workers.engine import EngineRefusal
from workers.model_manager.repository_kind import Kind
from workers.models import find as models
from workers.models import find_aligner as alignment_models
from workers.models.hub_cache import cached_snapshot, damaged_file
from workers.models.starter import find_starter
from workers.models.torch_bundles import bundle_file, what_is_torn_in_bundle

Place = Literal["starter", "hub", "bundle", "folder"]
Condition = Literal["whole", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where one model comes from."""

    kind: Kind
    place: Place
    id: str
    """`starter`, the hub id, torchaudio's name, or the folder's absolute path."""
    engine: ModelEngine


@dataclass(frozen=True, slots=True)
class OnDisk:
    """How it lies on this machine."""

    condition: Condition
    path: Path | None = None
    """Where it is, or is to be; None: nowhere yet."""
    why: str = ""
    """What is missing or damaged, in words."""
    hint: str = ""


def name_of(source: ModelSource) -> str:
    """What a person calls it: the short name where there is one."""
    if source.place == "hub" and source.kind == "whisper":
        return next((name for name, hub_id in HUB_IDS[source.engine].items() if hub_id == source.id), source.id)
    return source.id


def source_of(needed: ModelNeeded) -> ModelSource:
    """Where the model of this name comes from. Raises EngineRefusal `unknown_model`."""
    wants_wav2vec2 = needed.use == "aligner" and needed.engine == "whisperx"
    return alignment_source(needed.name) if wants_wav2vec2 else whisper_source(needed.name, needed.engine)


def whisper_source(name: str, engine: ModelEngine) -> ModelSource:
    """By the rules of `workers.models.find.find_model`. Raises EngineRefusal `unknown_model`."""
    if name == "starter":
        return ModelSource("whisper", "starter", name, engine)
    if name in HUB_IDS[engine]:
        return ModelSource("whisper", "hub", HUB_IDS[engine][name], engine)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource("whisper", "folder", str(folder.absolute()), engine)
    if HUB_ID.fullmatch(name):
        return ModelSource("whisper", "hub", name, engine)
    raise models.unknown_model(name, engine)


def alignment_source(name: str) -> ModelSource:
    """By the rules of `workers.models.find_aligner.find_alignment_model`. Raises EngineRefusal `unknown_model`."""
    if name == "starter":
        return ModelSource("wav2vec2", "starter", name, "whisperx")
    if name in BUNDLE_FILES:
        return ModelSource("wav2vec2", "bundle", name, "whisperx")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource("wav2vec2", "folder", str(folder.absolute()), "whisperx")
    if HUB_ID.fullmatch(name):
        return ModelSource("wav2vec2", "hub", name, "whisperx")
    near = get_close_matches(name, [*BUNDLE_FILES, "starter"], n=1)
    raise EngineRefusal(
        "unknown_model",
        f"there is no alignment model or folder {name!r}",
        f"did you mean {near[0]}?"
        if near
        else f"take `starter`, a folder, a hub id, or one of {', '.join(BUNDLE_FILES)}",
    )


def look_at(source: ModelSource, step: Callable[[], None], *, deep: bool) -> OnDisk:
    """How the model lies here. `deep` reads every byte of it; `step` is called while that goes on."""
    try:
        match source.place:
            case "starter":
                return _starter(source, deep=deep)
            case "bundle":
                return _bundle(source, step, deep=deep)
            case "folder":
                _check_files(source, Path(source.id))
                return OnDisk("whole", Path(source.id))
            case "hub":
                return _in_hub_cache(source, step, deep=deep)
            case _:
                assert_never(source.place)
    except EngineRefusal as refusal:
        condition: Condition = "missing" if refusal.code == "needs_model" else "damaged"
        return OnDisk(condition, why=refusal.message, hint=refusal.hint)
    except OSError as error:
        return OnDisk("damaged", why=f"{error.filename}: {error.strerror}", hint="make it readable for this user")


def _starter(source: ModelSource, *, deep: bool) -> OnDisk:
    if source.kind == "whisper":
        return OnDisk("whole", find_starter(deep=deep))
    return OnDisk("whole", alignment_models.starter_aligner(deep=deep).folder)


def _bundle(source: ModelSource, step: Callable[[], None], *, deep: bool) -> OnDisk:
    file = bundle_file(source.id)
    if not file.is_file():
        return OnDisk("missing", file)
    torn = what_is_torn_in_bundle(file, step, deep=deep)
    return OnDisk("whole", file) if torn is None else OnDisk("damaged", file, f"{file}: {torn}")


def _in_hub_cache(source: ModelSource, step: Callable[[], None], *, deep: bool) -> OnDisk:
    folder = cached_snapshot(source.id, wanted_files(source))
    if folder is None or first_missing(source, folder) is not None:
        return OnDisk("missing", folder)
    if deep and (file := damaged_file(folder, step)):
        return OnDisk("damaged", folder, f"{file} does not have the hash it is filed under")
    _check_files(source, folder)
    return OnDisk("whole", folder)


def wanted_files(source: ModelSource) -> tuple[str, ...]:
    """All that a folder of this kind may hold for its engine; no repository has all of it."""
    match source.kind, source.engine:
        case "wav2vec2", _:
            return (*alignment_models.DESCRIPTION_FILES, *alignment_models.WEIGHTS)
        case "whisper", "mlx":
            return tuple(sorted({*models.MLX_FILES, *models.CTRANSLATE2_FILES}))
        case _:
            return models.CTRANSLATE2_FILES


def first_missing(source: ModelSource, folder: Path) -> str | None:
    """The first file without which the engine cannot open the folder."""
    if source.kind == "wav2vec2":
        return alignment_models.missing_file(folder)
    return models.missing_files(folder, source.engine)


def _check_files(source: ModelSource, folder: Path) -> None:
    if source.kind == "wav2vec2":
        alignment_models.check_files(folder)
    else:
        models.check_files(folder, source.engine)
