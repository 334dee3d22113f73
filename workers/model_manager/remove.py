"""Deletes models that stenod downloaded or converted, never those that came with it or that the user owns.

Runs in: worker (the program behind `steno models`).
"""

import shutil
from difflib import get_close_matches
from pathlib import Path

from config.model_names import ModelEngine
from ipc.model_messages import ListedModel, ModelList, Removal
from workers.engine import EngineRefusal
from workers.model_manager.inventory import CONVERSION
from workers.model_manager.pull import total_size
from workers.models.hub_cache import cache_folder


def plan_removal(name: str, listing: ModelList, engine: ModelEngine | None) -> Removal:
    """What removing this name would delete: the model and its conversions.

    Raises EngineRefusal `not_here` or `not_ours`.
    """
    meant = [
        one
        for one in listing.models
        if name in (one.name, one.id, one.path) and engine in (None, one.engine) and one.path is not None
    ]
    gone = [one for one in meant if one.size_bytes > 0]
    if not gone:
        near = get_close_matches(name, {one.name for one in listing.models if one.size_bytes}, n=2, cutoff=0.5)
        raise EngineRefusal(
            "not_here",
            f"there is no model {name} on this machine",
            f"did you mean {' or '.join(near)}?" if near else "`steno models list` shows what is here",
        )
    if name == "starter":
        raise EngineRefusal(
            "not_ours", "the starter came with stenod and stays with it", "it is small and needs no hub"
        )
    paths = [path for one in gone for path in _paths(one, listing)]
    return Removal(
        name=name,
        paths=tuple(str(path) for path in paths),
        freed_bytes=sum(total_size(path) if path.is_file() else _bytes_once(path) for path in paths),
        used_as=tuple(dict.fromkeys(use for one in gone for use in one.used_as)),
        is_done=False,
    )


def _paths(one: ListedModel, listing: ModelList) -> list[Path]:
    path = Path(one.path or "")
    if one.kind == "conversion" or path.is_file():
        return [path]
    repository = cache_folder(one.id)
    if not repository.is_dir():
        raise EngineRefusal(
            "not_ours",
            f"{path} is a folder of your own; stenod deletes only what it fetched or made",
            "delete it yourself if you want it gone",
        )
    labels = {one.name, one.id.replace("/", "--")}
    made = [
        Path(other.id)
        for other in listing.models
        if other.kind == "conversion" and (match := CONVERSION.fullmatch(other.name)) and match["label"] in labels
    ]
    return [repository, *made]


def _bytes_once(folder: Path) -> int:
    """Bytes of the folder's own files: a snapshot's links point to blobs, which are counted themselves."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def remove(plan: Removal) -> Removal:
    """Deletes the planned paths. Raises EngineRefusal `not_removed` if one cannot be deleted."""
    try:
        for path in map(Path, plan.paths):
            if path.is_dir():
                # As huggingface_hub's delete_revisions does with all revisions of a repository; but that only logs
                # files it may not delete, and keeps a repository with an unfinished file.
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            shutil.rmtree(path.parent / ".locks" / path.name, ignore_errors=True)
    except OSError as error:
        raise EngineRefusal(
            "not_removed", f"{error.filename} cannot be deleted: {error.strerror}", "see who owns it"
        ) from error
    return plan.model_copy(update={"is_done": True})
