"""How much room is left: on the disks that stenod writes to, and in memory.

Runs in: the user's shell.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import psutil

from ipc.status_views import Finding, WorkerView

ROOMY = 4
"""Less than this many times the floor is worth a word: a day's recordings may take the rest."""
SMALLEST_MEMORY_BYTES = 4_000_000_000
"""A speech model, an aligner and the system: below this they push each other out."""
LARGEST_SHARE = 0.7
"""Workers that hold more of the memory than this leave the system to swap."""


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
        if disk.free_files == 0:
            yield _full(f"the disk of {where} takes no more files", "even an empty file needs an entry there", disk)
        elif free_mb < floor_mb or free_mb == 0:
            yield _full(
                f"the disk of {where} is full: {free_mb} MB free, media.free_disk_floor_mb keeps {floor_mb} MB",
                "jobs wait until there is room, and transcripts cannot be written",
                disk,
            )
        elif free_mb < ROOMY * floor_mb:
            yield Finding(
                check="disk",
                state="warning",
                what=f"{free_mb} MB free on the disk of {where}",
                why=f"jobs wait once it is below {floor_mb} MB",
                remedy=f"free some space there: `du -xh -d 1 {quote(str(disk.place))} | sort -h`",
            )
        else:
            yield Finding(check="disk", state="ok", what=f"{free_mb / 1000:.1f} GB free on the disk of {where}")


def _full(what: str, why: str, disk: Disk) -> Finding:
    remedy = f"free some space there: `du -xh -d 1 {quote(str(disk.place))} | sort -h` shows what is large"
    if "model cache" in disk.holds:
        remedy += "; `steno models` lists models you may do without"
    return Finding(check="disk", state="broken", what=what, why=why, remedy=remedy)


def memory_findings(total_bytes: int, workers: Sequence[WorkerView]) -> Iterator[Finding]:
    """The machine's memory against what the workers hold now."""
    held = sum(worker.footprint_bytes or 0 for worker in workers)
    said = f"{total_bytes / 1e9:.1f} GB of memory" + (f", the workers hold {held / 1e9:.1f} GB" if held else "")
    if held > LARGEST_SHARE * total_bytes:
        yield Finding(
            check="memory",
            state="warning",
            what=said,
            why="the system swaps, and everything becomes slow; macOS may end a worker",
            remedy='choose a smaller model (STENO_MODEL=small), or let workers rest: workers.keep_alive = "10m"',
        )
    elif total_bytes < SMALLEST_MEMORY_BYTES:
        yield Finding(
            check="memory",
            state="warning",
            what=said,
            why="two models and the system have little room beside each other",
            remedy='choose a small model (STENO_MODEL=base), and workers.keep_alive = "1m"',
        )
    else:
        yield Finding(check="memory", state="ok", what=said)


def machine_memory() -> int:
    """Bytes of memory in this machine."""
    return psutil.virtual_memory().total
