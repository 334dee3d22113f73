"""Which files of a watched folder its owner wants, by name: `include` and `exclude`, pure.

Runs in: supervisor.

A pattern is tried as file managers search: letter case and the spelling of accents make no difference.
- `*.m4a`, `draft*`: without a `/` it is the name of a file or of a folder, at any depth.
- `meetings/*.wav`, `/*.wav`: with a `/` it begins at the watched folder; `*` stays within one folder, `**` does not.
- `old/`: with a `/` at its end it is a folder.
What is true of a folder is true of all in it. `exclude` is stronger than `include`.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

from ipc.api_messages import Format
from supervisor.candidate_names import is_finished, is_media

NEVER_ADMITTED = frozenset(get_args(Format))
"""Endings of our own results: taken for recordings, each transcript would be transcribed."""


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """The patterns of one watched folder. All paths are relative to it, with `/` between the steps."""

    include: tuple[str, ...] = ()
    """Empty: every name of a recording."""
    exclude: tuple[str, ...] = ()

    def want(self, path: str) -> bool:
        """Whether a file is taken. A name that no recording has must be asked for by its ending: `*.xyz`, not `*`."""
        name = path.rpartition("/")[2]
        if not is_finished(name) or any(matches(pattern, path) for pattern in self.exclude):
            return False
        if not self.include:
            return is_media(name)
        fitting = [pattern for pattern in self.include if matches(pattern, path)]
        return bool(fitting) and (is_media(name) or any(map(_names_an_ending, fitting)))

    def close(self, folder: str) -> bool:
        """Whether nothing in a folder within is wanted, so that nobody need look."""
        return any(matches(pattern, f"{folder}/") for pattern in self.exclude)


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern means this file, or this folder where the path ends in `/`, or a folder around it."""
    wanted, steps = _steps(pattern), _steps(path)
    if pattern.endswith("/") and not path.endswith("/"):
        steps = steps[:-1]  # the pattern means folders, and the last step is a file
    if "/" not in pattern.rstrip("/"):
        return any(fnmatchcase(step, one) for one in wanted for step in steps)
    return any(_fits(wanted, steps[:depth]) for depth in range(1, len(steps) + 1))


def _steps(path: str) -> list[str]:
    same = unicodedata.normalize("NFC", path).casefold()
    return [step for step in same.split("/") if step not in ("", ".")]


def _fits(wanted: Sequence[str], steps: Sequence[str]) -> bool:
    if not wanted:
        return not steps
    if wanted[0] == "**":
        return any(_fits(wanted[1:], steps[skipped:]) for skipped in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], wanted[0]) and _fits(wanted[1:], steps[1:])


def _names_an_ending(pattern: str) -> bool:
    """Whether the owner wrote out what the file's name ends in."""
    _, dot, ending = pattern.rpartition("/")[2].rpartition(".")
    return bool(dot and ending) and not set("*?[") & set(ending) and ending.casefold() not in NEVER_ADMITTED
