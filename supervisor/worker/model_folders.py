"""A cheap sign that a model may have come: what changed among the folders where models lie.

Runs in: supervisor. Only names and times are read, never a model; the disk may sleep, so call it in a thread.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

ModelsSeen = frozenset[tuple[str, int]]
"""Paths with their times of change, in ns."""


def model_folders(environment: Mapping[str, str], models: Path) -> tuple[Path, ...]:
    """Where a model can appear: our own folder, the hub's cache, torch's.

    As huggingface_hub.constants and torch.hub find theirs, neither of which belongs into this process.
    """
    cache = Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub_home = Path(environment.get("HF_HOME") or cache / "huggingface").expanduser()
    hub = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE") or hub_home / "hub"
    torch_home = Path(environment.get("TORCH_HOME") or cache / "torch").expanduser()
    return (models, Path(hub).expanduser(), torch_home / "hub" / "checkpoints")


def folders_named(models: Sequence[str]) -> tuple[Path, ...]:
    """Those of the models that are folders of their owner's."""
    return tuple(folder for model in models if (folder := Path(model).expanduser()).is_absolute())


def models_seen(folders: Sequence[Path]) -> ModelsSeen:
    """Everything that stands in these folders now, and in the snapshots of those that are a hub's cache.

    A download of the hub shows when a file of it is whole: only then does it get its name in a snapshot.
    """
    found: set[tuple[str, int]] = set()
    for folder in folders:
        for pattern in ("*", "models--*/snapshots/*"):
            try:
                found.update((str(path), path.lstat().st_mtime_ns) for path in folder.glob(pattern))
            except OSError:
                # Something went while we looked, or the disk is gone: whatever becomes of it is a change.
                continue
    return frozenset(found)
