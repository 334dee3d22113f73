"""What is wrong with what was set: where it stands, its key, its value and what is allowed, in one sentence. Pure.

Runs in: every process.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.settings import ENGINE_PATH
from config.toml_positions import Path, dotted, line_at
from config.watch_entry import WatchEntry

MOST_SHOWN = 60
"""Characters of a value that are said again."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said so: a flag, a variable, a file."""

    name: str
    """`flag`, `environment STENO_MODEL`, `.env.pipeline`, `config.toml`, `default`."""
    file: File | None = None
    lines: Mapping[Path, int] = field(default_factory=dict)
    """Where each key stands in the file; `()` where one line holds all."""
    variable: str | None = None
    """Its name in a file of variables."""

    def __str__(self) -> str:
        return self.name if self.file is None else f"{self.name} ({self.file})"

    def line(self, path: Path) -> int | None:
        """The line of this key, or of the table where it is missing."""
        return line_at(self.lines, path)

    def at(self, path: Path) -> str:
        """The place as exactly as it is known."""
        line = self.line(path)
        place = self.name + (f" line {line}" if line is not None else "")
        place += f" ({self.file})" if self.file is not None else ""
        return f"{place}: {self.variable}" if self.variable is not None else place


DEFAULT = Origin("default")
FLAG = Origin("flag")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that its owner has to mend."""

    origin: Origin
    path: Path
    said: str

    @property
    def sentence(self) -> str:
        return f"{self.origin.at(self.path)}: {self.said}"


def in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Place by place, each file from its top."""
    return sorted(mistakes, key=lambda mistake: (str(mistake.origin), mistake.origin.line(mistake.path) or 0))


def unknown_key(origin: Origin, path: Path, known: Iterable[str]) -> Mistake:
    """A name that no setting has."""
    key = dotted(path)
    return Mistake(origin, path, f"there is no setting {key}{nearest(key, known)}")


def broken_syntax(origin: Origin, text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    """What is no TOML at all."""
    told = re.search(r"at line (\d+)", str(error))
    line = int(told[1]) if told is not None else len(text.splitlines())  # "at end of document"
    return Mistake(Origin(origin.name, origin.file, {(): line}), (), f"not valid TOML: {error}")


def bad_values(invalid: ValidationError, whole: object, origin_of: Callable[[Path], Origin]) -> Iterator[Mistake]:
    """`whole` is what was checked: nested mappings and lists."""
    allowed: dict[Path, list[str]] = {}
    for error in invalid.errors(include_url=False):
        path = _path(error, whole)
        if error["type"] == "extra_forbidden":
            near = nearest(str(path[-1]), WatchEntry.model_fields, within=f"{dotted(path[:-1])}.")
            yield Mistake(origin_of(path), path, f"there is no setting {dotted(path)}{near}")
        else:
            allowed.setdefault(path, []).append(_allowed(error))
    for path, ways in allowed.items():
        yield Mistake(origin_of(path), path, f"{dotted(path)}{_shown(whole, path)}: {' or '.join(ways)}")


def nearest(written: str, known: Iterable[str], *, within: str = "") -> str:
    """`; did you mean …?` where a known name is near enough, else nothing. `within` stands before both."""
    near = get_close_matches(written, list(known), n=1)
    return f"; did you mean {within}{near[0]}?" if near else ""


def _path(error: ErrorDetails, whole: object) -> Path:
    """Where in `whole` it is: pydantic goes on with the names of types it has tried."""
    path: Path = ()
    here: Any = whole
    for step in error["loc"]:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            # A default may be wrong too (`~` where there is no home): it stands nowhere.
            return (*path, step) if error["type"] == "missing" or isinstance(here, Mapping) else path
        path = (*path, step)
    return path


def _shown(whole: object, path: Path) -> str:
    here: Any = whole
    for step in path:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(here, Mapping) or len(repr(here)) > MOST_SHOWN:
        return ""
    return f" = {here!r}"


def _allowed(error: ErrorDetails) -> str:
    limits = error.get("ctx", {})
    match error["type"], error["input"]:
        case "literal_error", str() as written:
            names = re.findall(r"'(\w+)'", str(limits["expected"]))
            return f"allowed is {limits['expected']}{nearest(written, names)}"
        case "literal_error", _:
            return f"allowed is {limits['expected']}"
        case "string_pattern_mismatch", _ if limits["pattern"] == ENGINE_PATH:
            return "the import path of your own engine, package.module:Class"
        case "string_pattern_mismatch", _:
            return "a code of two or three letters, like en or de"
        case "missing", _:
            return "this must be given"
        case _:
            return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
