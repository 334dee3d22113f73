"""The rules of watched folders, from the settings and from each other: pure.

Runs in: supervisor.

A recording belongs to the innermost watched folder that contains it, whether or not that folder's patterns accept it.
Archive folders are never watched: that would be an endless loop.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings, WatchingSettings
from config.watch_entry import WatchEntry
from supervisor.disks.file_identity import folded
from supervisor.watch.name_filter import NameFilter
from supervisor.watch.scan import ScanRules


@dataclass(frozen=True, slots=True)
class FolderTerms:
    """Everything that may change about a watched folder."""

    entry: WatchEntry
    permanent: bool
    """Whether it comes from the settings unchanged."""
    watching: WatchingSettings
    rules: ScanRules
    written_to: tuple[Path, ...]
    """Folders that the daemon must be able to write to for this folder."""


def folder_terms(
    entries: Mapping[Path, WatchEntry], added: Iterable[Path], settings: Settings, ours: Sequence[Path]
) -> dict[Path, FolderTerms]:
    """The rules of every folder. `added`: those outside the settings. `ours`: never searched."""
    return {
        path: FolderTerms(
            entry=entry,
            permanent=path not in set(added),
            watching=settings.watching,
            rules=_rules(entry, entries, settings.output.folder, ours),
            written_to=_written_to(entry, settings.output.folder),
        )
        for path, entry in entries.items()
    }


def _rules(
    entry: WatchEntry, entries: Mapping[Path, WatchEntry], output: Path | None, ours: Sequence[Path]
) -> ScanRules:
    # Only folders that may be within: a stat elsewhere, for example on a dead network disk, could hang.
    others = [other for other in entries.values() if _is_within(entry.path, other.path)]
    ends = [output, *(end for other in entries.values() for end in _ends(other))]
    return ScanRules(
        NameFilter(entry.include, entry.exclude),
        recursive=entry.recursive,
        closed=(
            *ours,
            *(end for end in ends if end is not None and _is_within(entry.path, end)),
            *(other.path for other in others if other.recursive),
        ),
        left_alone=tuple(other.path for other in others if not other.recursive),
    )


def _ends(entry: WatchEntry) -> Iterator[Path]:
    for folder in (entry.output, entry.done, entry.failed):
        if folder is not None:
            yield entry.within(folder)


def _written_to(entry: WatchEntry, output: Path | None) -> tuple[Path, ...]:
    moves = [entry.within(folder) for folder in (entry.done, entry.failed) if folder is not None]
    results = output if entry.output is None else entry.within(entry.output)
    # Moving a recording away needs write permission for its folder.
    beside = [entry.path] if results is None or moves else []
    return tuple(dict.fromkeys([*beside, *([] if results is None else [results]), *moves]))


def _is_within(folder: Path, other: Path) -> bool:
    """By name, ignoring case and how letters are composed; device and inode decide later."""
    around, within = folded(str(folder)).rstrip("/"), folded(str(other))
    return within.startswith(f"{around}/")
