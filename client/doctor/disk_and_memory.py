"""How much room is left: on the disks that stenod writes to, and in memory.

Runs in: the user's shell.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import psutil

from client.doctor.check import Case, Check, broken, ok, warning
from ipc.status_views import Finding, WorkerView

ROOMY = 4
"""Less than this many times the floor is worth a word: a day's recordings may take the rest."""
SMALLEST_MEMORY_BYTES = 4_000_000_000
"""A speech model, an aligner and the system: below this they push each other out."""
LARGEST_SHARE = 0.7
"""Workers that hold more of the memory than this leave the system to swap."""


def checks(case: Case) -> Iterator[Check]:
    def disks() -> Iterator[Finding]:
        return disk_findings(find_disks(written_to(case)), case.settings.media.free_disk_floor_mb)

    yield Check("Disk and memory", "disk", disks)
    workers = () if case.status is None else case.status.workers
    yield Check("Disk and memory", "memory", lambda: memory_findings(psutil.virtual_memory().total, workers))


def written_to(case: Case) -> dict[str, Path]:
    """Every folder whose disk may become full."""
    places = case.places
    folders = {"spool": places.spool, "state": places.state, "logs": places.logs, "models": places.models}
    folders["model cache"] = hub_cache(case.environment)
    if case.loaded is not None:
        settings = case.loaded.settings
        folders |= {} if settings.output.folder is None else {"outputs": settings.output.folder}
        folders |= {f"watched {entry.path.name}": entry.path for entry in settings.watch}
    return folders


def hub_cache(environment: Mapping[str, str]) -> Path:
    """Where Hugging Face keeps models, by its own rules."""
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"]).expanduser().absolute()
    caches = Path(environment.get("XDG_CACHE_HOME") or "~/.cache")
    return (Path(environment.get("HF_HOME") or caches / "huggingface") / "hub").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system, and which of our folders lie on it."""

    holds: tuple[str, ...]
    """`spool`, `state`, `outputs`, `model cache` …"""
    place: Path
    """One existing folder on it."""
    free_bytes: int
    free_files: int | None
    """How many more files it takes; None: it does not count them."""


def find_disks(folders: Mapping[str, Path]) -> list[Disk]:
    """The file systems under these folders, each once; one that cannot be seen counts by its parent."""
    found: dict[int, Disk] = {}
    for name, folder in folders.items():
        # Not Path.is_dir, which raises below a folder that may not be entered.
        place = next(parent for parent in (folder, *folder.parents) if os.path.isdir(parent))  # noqa: PTH112
        device = place.stat().st_dev
        holds = (*found[device].holds, name) if device in found else (name,)
        facts = os.statvfs(place)
        found[device] = Disk(
            holds=holds,
            place=found[device].place if device in found else place,
            free_bytes=facts.f_bavail * facts.f_frsize,
            free_files=facts.f_favail if facts.f_files else None,
        )
    return list(found.values())


def disk_findings(disks: Iterable[Disk], floor_mb: int) -> Iterator[Finding]:
    """`floor_mb` is media.free_disk_floor_mb: below it no job starts."""
    for disk in disks:
        where = f"{disk.place} ({', '.join(disk.holds)})"
        free_mb = disk.free_bytes // 1_000_000
        remedy = f"free some space there: `du -xh -d 1 {quote(str(disk.place))} | sort -h` shows what is large"
        if "model cache" in disk.holds:
            remedy += "; `steno models` lists models that you may not need"
        if disk.free_files == 0:
            what = f"the disk of {where} has no room for another file"
            yield broken("disk", what, "even an empty file needs an inode there", remedy)
        elif free_mb < floor_mb or free_mb == 0:
            what = f"the disk of {where} is full: {free_mb} MB free, media.free_disk_floor_mb keeps {floor_mb} MB"
            yield broken("disk", what, "jobs wait until there is room, and transcripts cannot be written", remedy)
        elif free_mb < ROOMY * floor_mb:
            what, why = f"{free_mb} MB free on the disk of {where}", f"jobs wait once it is below {floor_mb} MB"
            yield warning("disk", what, why, remedy)
        else:
            yield ok("disk", f"{free_mb / 1000:.1f} GB free on the disk of {where}")


def memory_findings(total_bytes: int, workers: Sequence[WorkerView]) -> Iterator[Finding]:
    """The machine's memory against what the workers hold now."""
    held = sum(worker.footprint_bytes or 0 for worker in workers)
    said = f"{total_bytes / 1e9:.1f} GB of memory" + (f", the workers hold {held / 1e9:.1f} GB" if held else "")
    if held > LARGEST_SHARE * total_bytes:
        yield warning(
            "memory",
            said,
            "the system swaps, and everything becomes slow; macOS may end a worker",
            'choose a smaller model (STENO_MODEL=small), or unload idle workers: workers.keep_alive = "10m"',
        )
    elif total_bytes < SMALLEST_MEMORY_BYTES:
        yield warning(
            "memory",
            said,
            "two models and the system hardly fit side by side",
            'choose a small model (STENO_MODEL=base), and workers.keep_alive = "1m"',
        )
    else:
        yield ok("memory", said)
