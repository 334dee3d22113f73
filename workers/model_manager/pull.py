"""Downloads models from the hub and from torchaudio's server, and checks every byte.

Runs in: worker (the program behind `steno models`).
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import assert_never

from ipc.model_messages import FileProgress, ModelInstalled, ModelMessage, ModelRefusal
from workers.engine import EngineRefusal
from workers.model_manager.condition import ModelOnDisk, condition_of
from workers.model_manager.selection import ModelRequest
from workers.models.contents import NotAModel, files_to_fetch, kind_of, names_of
from workers.models.download import DownloadPhase, describe, fetch_snapshot, names_in
from workers.models.hub_cache import bytes_in, cache_folder, cached_snapshot
from workers.models.source import ModelSource
from workers.models.starter import PIECE_BYTES
from workers.models.torch_bundles import BUNDLE_ADDRESS, bundle_file, fetch_bundle

SendMessage = Callable[[ModelMessage], None]


@dataclass(frozen=True, slots=True)
class Puller:
    """Reports progress, and ends each request with a ModelInstalled or a ModelRefusal."""

    send: SendMessage
    models: Path
    """stenod's folder of converted models."""
    floor_bytes: int
    """Disk space that must stay free."""
    bundle_address: str = BUNDLE_ADDRESS

    def pull(self, request: ModelRequest) -> bool:
        """True: the model is now on this machine, complete."""
        try:
            here = self._pull(request.name, request.source, is_open=request.is_open)
        except EngineRefusal as refusal:
            self.send(ModelRefusal(name=request.name, code=refusal.code, message=refusal.message, hint=refusal.hint))
            return False
        self.send(here)
        return True

    def _pull(self, name: str, source: ModelSource, *, is_open: bool) -> ModelInstalled:
        if is_open and (folder := cached_snapshot(source.id)) is not None:
            source = with_detected_kind(source, names_of(folder), model_type_in(folder))
        found = condition_of(source, self._reading(name, bytes_here(source)), deep=True)
        if found.condition == "whole":
            return _here(name, found, 0)
        match source.origin:
            case "starter" | "folder":
                code = "needs_model" if found.condition == "missing" else "model_damaged"
                raise EngineRefusal(code, found.why, found.hint)
            case "bundle":
                on_progress = partial(self._report_progress, name)
                came = fetch_bundle(source.id, on_progress, self.floor_bytes, self.bundle_address)
            case "hub":
                came, source = self._fetch_from_hub(name, source, is_open=is_open)
            case _:
                assert_never(source.origin)
        found = condition_of(source, lambda: None, deep=False)
        if found.condition != "whole":
            raise EngineRefusal("model_damaged", found.why or f"{name} is not whole", found.hint)
        return _here(name, found, came)

    def _fetch_from_hub(self, name: str, source: ModelSource, *, is_open: bool) -> tuple[int, ModelSource]:
        """The bytes downloaded, and the source with the kind of model found there."""
        about = describe(source.id)
        names = names_in(about)
        if is_open:
            source = with_detected_kind(source, names, (about.config or {}).get("model_type"))
        try:
            wanted = files_to_fetch(source.kind, source.engine, names)
        except NotAModel as why:
            raise EngineRefusal(
                "not_a_model",
                f"{source.id} is no {source.kind} for {source.engine}: {why}",
                "`steno models list` shows the names stenod knows",
            ) from why
        _, came = fetch_snapshot(source.id, about, wanted, partial(self._report_progress, name), self.floor_bytes)
        return came, source

    def _report_progress(
        self, model: str, phase: DownloadPhase, file: str, done_bytes: int, total_bytes: int | None
    ) -> None:
        self.send(FileProgress(phase=phase, model=model, file=file, done_bytes=done_bytes, total_bytes=total_bytes))

    def _reading(self, model: str, total_bytes: int) -> Callable[[], None]:
        """A callback for the check of a complete model, which does not report the current file."""
        pieces = count(1)
        return lambda: self._report_progress(
            model, "checking", "", min(next(pieces) * PIECE_BYTES, total_bytes), total_bytes
        )


def bytes_here(source: ModelSource) -> int:
    """Bytes of the model on this machine, complete or not."""
    match source.origin:
        case "hub":
            return bytes_in(cache_folder(source.id) / "blobs")
        case "bundle":
            return total_size(bundle_file(source.id))
        case "folder":
            return total_size(Path(source.id))
        case "starter":
            return 0
        case _:
            assert_never(source.origin)


def with_detected_kind(source: ModelSource, names: Collection[str], model_type: str | None) -> ModelSource:
    """The same id with the kind of model it contains; unchanged if the kind is unknown."""
    try:
        kind, engine = kind_of(names, model_type)
    except NotAModel:
        return source
    # mlx also opens a CTranslate2 Whisper model, so the engine stays mlx.
    is_fine = kind == source.kind and source.engine in (engine, "mlx")
    return source if is_fine else ModelSource(kind, "hub", source.id, engine)


def _here(name: str, found: ModelOnDisk, came: int) -> ModelInstalled:
    assert found.path is not None
    return ModelInstalled(name=name, path=str(found.path), size_bytes=total_size(found.path), fetched_bytes=came)


def total_size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def model_type_in(folder: Path) -> str | None:
    """config.json's `model_type`, or None."""
    try:
        content = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    kind = content.get("model_type") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None
