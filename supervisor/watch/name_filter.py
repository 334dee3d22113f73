"""The name filter of a watched folder: `include` and `exclude`, pure.

Runs in: supervisor.

Patterns match as file managers search: without case, and with any Unicode form of accents.
- `*.m4a`, `draft*`: without a `/` it is the name of a file or of a folder, at any depth.
- `meetings/*.wav`, `/*.wav`: with a `/` it begins at the watched folder; `*` does not cross a `/`, `**` does.
- `old/`: with a `/` at its end it is a folder.
What is true of a folder is true of all in it. `exclude` is stronger than `include`.

A pattern may come over the socket, and is matched with every file: the time is at most the pattern's length times the
path's. Within a part that is `fnmatch`, whose `*` does not backtrack.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import get_args

from ipc.vocabulary import Format
from supervisor.disks.file_identity import folded
from supervisor.watch.recording_names import is_finished, is_media

NEVER_ADMITTED = frozenset(get_args(Format))
"""Extensions of our own results, which must not be transcribed."""


@dataclass(frozen=True, slots=True)
class NameFilter:
    """The patterns of one watched folder. All paths are relative to it, with `/` as separator."""

    include: tuple[str, ...] = ()
    """Empty: every name of a recording."""
    exclude: tuple[str, ...] = ()

    def want(self, path: str) -> bool:
        """Whether a file is accepted. A name that is not a recording's needs a pattern with its extension: `*.xyz`,
        not `*`."""
        name = path.rpartition("/")[2]
        if not is_finished(name):
            return False
        if not self.include and not is_media(name):
            return False  # the cheaper check first: most files are not recordings
        steps = _steps(path)
        if any(_means(pattern, steps, is_folder=False) for pattern in _read_all(self.exclude)):
            return False
        if not self.include:
            return True
        fitting = [pattern.written for pattern in _read_all(self.include) if _means(pattern, steps, is_folder=False)]
        return bool(fitting) and (is_media(name) or any(map(_names_an_ending, fitting)))

    def close(self, folder: str) -> bool:
        """Whether nothing in a subfolder is wanted, so that it need not be scanned."""
        if not self.exclude:
            return False
        steps = _steps(folder)
        return any(_means(pattern, steps, is_folder=True) for pattern in _read_all(self.exclude))


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern matches this file, this folder if the path ends in `/`, or a folder above it."""
    return _means(_read(pattern), _steps(path), is_folder=path.endswith("/"))


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A parsed pattern."""

    written: str
    steps: tuple[str, ...]
    is_of_folders: bool
    """It ends in `/`."""
    is_anywhere: bool
    """It has no other `/`: the name of a file or a folder, at any depth."""


def _read_all(patterns: Iterable[str]) -> Iterable[_Pattern]:
    return map(_read, patterns)


@lru_cache(4096)
def _read(pattern: str) -> _Pattern:
    return _Pattern(
        written=pattern,
        steps=tuple(_steps(pattern)),
        is_of_folders=pattern.endswith("/"),
        is_anywhere="/" not in pattern.rstrip("/"),
    )


def _steps(path: str) -> list[str]:
    return [step for step in folded(path).split("/") if step not in ("", ".")]


def _means(pattern: _Pattern, steps: Sequence[str], *, is_folder: bool) -> bool:
    if pattern.is_of_folders and not is_folder:
        steps = steps[:-1]  # the pattern matches folders, and the last part is a file
    if pattern.is_anywhere:
        return any(fnmatchcase(step, one) for one in pattern.steps for step in steps)
    return bool(pattern.steps and steps) and _begins(pattern.steps, steps)


def _begins(wanted: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether the path, or a folder above it, matches the pattern.

    The parts after a `**` are searched for step by step, and the first match is as good as any: only the last `**` is
    ever tried at another place.
    """
    at, here = 0, 0
    last: tuple[int, int] | None = None  # where the pattern continues after the last `**`, and where that was tried
    while here < len(steps) and at < len(wanted):
        if wanted[at] == "**":
            at += 1
            last = at, here
        elif fnmatchcase(steps[here], wanted[at]):
            at, here = at + 1, here + 1
        elif last is None:
            return False
        else:
            at, here = last[0], last[1] + 1
            last = at, here
    return all(step == "**" for step in wanted[at:])


def _names_an_ending(pattern: str) -> bool:
    """Whether the pattern spells out the file's extension."""
    _, dot, ending = pattern.rpartition("/")[2].rpartition(".")
    return bool(dot and ending) and not set("*?[") & set(ending) and ending.casefold() not in NEVER_ADMITTED
