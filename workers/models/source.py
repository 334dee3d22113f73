"""Resolves a model's name to its source. Uses no network.

Runs in: worker.

Stands alone: the workers that open a model and the program behind `steno models` must resolve a name the same way.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from config.model_names import BUNDLE_FILES, HUB_ID, HUB_IDS, ModelEngine
from workers.engine import EngineRefusal
from workers.models.contents import ModelKind

ModelOrigin = Literal["starter", "hub", "bundle", "folder"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where one model comes from."""

    kind: ModelKind
    origin: ModelOrigin
    id: str
    """`starter`, the hub id, torchaudio's name, or the folder's absolute path."""
    engine: ModelEngine


def model_source(name: str, kind: ModelKind, engine: ModelEngine) -> ModelSource:
    """`name` is `starter`, a short name, a folder or a hub id. Raises EngineRefusal `unknown_model`."""
    if name == "starter":
        return ModelSource(kind, "starter", name, engine)
    if kind == "whisper" and name in HUB_IDS[engine]:
        return ModelSource(kind, "hub", HUB_IDS[engine][name], engine)
    if kind == "wav2vec2" and name in BUNDLE_FILES:
        return ModelSource(kind, "bundle", name, engine)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource(kind, "folder", str(folder.absolute()), engine)
    if HUB_ID.fullmatch(name):
        return ModelSource(kind, "hub", name, engine)
    what, known = ("model", HUB_IDS[engine]) if kind == "whisper" else ("alignment model", BUNDLE_FILES)
    names = ["starter", *known]
    near = get_close_matches(name, names, n=3, cutoff=0.4 if kind == "whisper" else 0.6)
    raise EngineRefusal(
        "unknown_model",
        f"there is no {what} or folder {name!r} for {engine}",
        f"did you mean {' or '.join(near)}?" if near else f"take one of {', '.join(names)}, a hub id or a folder",
    )
