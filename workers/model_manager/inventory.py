"""Lists all models on this machine and all that the settings need, without loading one or using the network.

Runs in: worker (the program behind `steno models`).
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.engines import EngineChoice, ModelNeeded, models_needed
from config.model_names import ALIGNMENT_HUB_IDS, BUNDLE_FILES, HUB_IDS
from config.places import hub_cache
from config.settings import Settings
from ipc.model_messages import ListedModel, ModelList
from workers.engine import EngineRefusal
from workers.model_manager.condition import condition_of, name_of, source_of
from workers.model_manager.pull import model_type_in, total_size
from workers.models.contents import NotAModel, check_files, kind_of
from workers.models.ct2_to_mlx import RECEIPT
from workers.models.download import nearest_existing
from workers.models.hub_cache import bytes_in, cache_folder, cached_snapshot
from workers.models.source import ModelSource, model_source
from workers.models.torch_bundles import bundle_file

CONVERSION = re.compile(r"(?P<label>.+)-mlx-float(16|32)-[0-9a-f]{12}")
"""What `workers.models.ct2_to_mlx` calls the folders it makes."""
KNOWN_HUB_IDS = frozenset(ALIGNMENT_HUB_IDS.values()) | {
    hub_id for names in HUB_IDS.values() for hub_id in names.values()
}


@dataclass(slots=True)
class _ModelCollector:
    """The models found so far, and the use of each."""

    used_as: dict[ModelSource, list[str]] = field(default_factory=dict)
    found: list[ListedModel] = field(default_factory=list)
    seen: set[ModelSource] = field(default_factory=set)

    def add(self, source: ModelSource, *, only_if_there: bool = True) -> None:
        if source in self.seen:
            return
        self.seen.add(source)
        on_disk = condition_of(source, lambda: None, deep=False)
        path = on_disk.path
        size, why = total_size(path) if path is not None and path.exists() else 0, on_disk.why
        if source.origin == "hub" and on_disk.condition == "missing":
            path, size = cache_folder(source.id), bytes_in(cache_folder(source.id) / "blobs")
            why = f"a part is here; steno models pull {name_of(source)} continues it" if size else ""
        if only_if_there and on_disk.condition == "missing" and not size:
            return
        self.found.append(
            ListedModel(
                name=name_of(source),
                id=source.id,
                kind="transcriber" if source.kind == "whisper" else "aligner",
                engine=source.engine,
                state=on_disk.condition,
                why=why,
                size_bytes=size,
                path=None if path is None else str(path),
                used_as=tuple(self.used_as.get(source, ())),
            )
        )


def list_models(settings: Settings, choice: EngineChoice, models: Path) -> ModelList:
    """The models that the settings need, then the others. `models`: stenod's folder of converted models."""
    listing, unknown, cache = _ModelCollector(), [], hub_cache()
    for one in models_needed(settings, choice):
        try:
            uses = listing.used_as.setdefault(source_of(one), [])
        except EngineRefusal as refusal:
            unknown.append(_unknown(one, refusal))
            continue
        if (use := _use(one)) not in uses:
            uses.append(use)
    for source in list(listing.used_as):
        listing.add(source, only_if_there=False)
    listing.found.extend(unknown)
    listing.add(model_source("starter", "whisper", "whisperx"))
    listing.add(model_source("starter", "wav2vec2", "whisperx"))
    for source in _in_hub_cache(cache):
        listing.add(source)
    for bundle in BUNDLE_FILES:
        if bundle_file(bundle).exists():
            listing.add(model_source(bundle, "wav2vec2", "whisperx"))
    listing.found.extend(conversions(models))
    return ModelList(
        models=tuple(listing.found),
        names={engine: tuple(names) for engine, names in HUB_IDS.items()},
        hub_cache=str(cache),
        free_bytes=shutil.disk_usage(nearest_existing(cache)).free,
    )


def _use(needed: ModelNeeded) -> str:
    return f"{needed.use} ({needed.language})" if needed.language else needed.use


def _unknown(needed: ModelNeeded, refusal: EngineRefusal) -> ListedModel:
    return ListedModel(
        name=needed.name,
        id=needed.name,
        kind="aligner" if needed.use == "aligner" else "transcriber",
        engine=needed.engine,
        state="missing",
        why=f"{refusal.message}: {refusal.hint}",
        used_as=(_use(needed),),
    )


def _in_hub_cache(cache: Path) -> Iterator[ModelSource]:
    """Complete and incomplete models that an engine of stenod opens; other programs share the cache."""
    for repository in sorted(cache.glob("models--*--*")):
        hub_id = repository.name.removeprefix("models--").replace("--", "/", 1)
        folder = cached_snapshot(hub_id)
        # A broken link still shows what kind of model the repository is.
        names = {file.name for file in folder.iterdir()} if folder is not None else set()
        try:
            kind, engine = kind_of(names, model_type_in(folder) if folder is not None else None)
        except NotAModel:
            if hub_id in KNOWN_HUB_IDS:
                yield _expected(hub_id)
            continue
        yield ModelSource(kind, "hub", hub_id, engine)


def _expected(hub_id: str) -> ModelSource:
    """The model that an unfinished download will become, from the tables of names."""
    if hub_id in ALIGNMENT_HUB_IDS.values():
        return model_source(hub_id, "wav2vec2", "whisperx")
    return next(
        model_source(hub_id, "whisper", engine) for engine, names in HUB_IDS.items() if hub_id in names.values()
    )


def conversions(models: Path) -> Iterator[ListedModel]:
    """Models that the workers converted to MLX's format; the workers convert them again if deleted."""
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if not CONVERSION.fullmatch(folder.name) or not (folder / RECEIPT).is_file():
            continue
        try:
            check_files("whisper", "mlx", folder)
            why = ""
        except EngineRefusal as refusal:
            why = refusal.message
        yield ListedModel(
            name=folder.name,
            id=str(folder),
            kind="conversion",
            engine="mlx",
            state="damaged" if why else "whole",
            why=why,
            size_bytes=total_size(folder),
            path=str(folder),
        )
