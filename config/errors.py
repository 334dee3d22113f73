"""What is wrong with what was set: its place, its key, its value and what is allowed, in one sentence. Pure.

Runs in: every process.

tomllib says what a document means and forgets where. `lines_of` reads the same text for the places alone, and
relies on tomllib having found it valid: what it does not understand, it steps over.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.settings import ENGINE_PATH
from config.watch_entry import WatchEntry

Path = tuple[str | int, ...]
"""The way to a value from the top: `("watch", 1, "language")`; numbers count within arrays, from 0."""

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
BARE = re.compile(r"[A-Za-z0-9_-]+")
STRING = re.compile(
    # The ends of the long ones may have up to two quotes more, which belong to the text.
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}#\n]+")
"""Numbers, switches and dates, one of which holds a space."""
MOST_SHOWN = 60
"""Characters of a value that are said again."""


def lines_of(text: str) -> dict[Path, int]:
    """Every key, table and element of a valid TOML text → its first line, from 1."""
    reader = _Reader(text)
    reader.document()
    return reader.lines


def dotted(path: Path) -> str:
    """As people write it: `watch[1].language`, `replacements."Steno D"`."""
    said = ""
    for step in path:
        match step:
            case int():
                said += f"[{step}]"
            case str():
                said += ("." if said else "") + (step if BARE.fullmatch(step) else _quoted(step))
    return said


def line_at(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of this value, or of the nearest thing around it: a missing value has no line."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Reader:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line_starts = [0, *(end.end() for end in re.finditer("\n", text))]
        self._elements: dict[Path, int] = {}
        """Array of tables → how many it has so far."""

    def document(self) -> None:
        table: Path = ()
        while self._skip_blank() < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        began = self._at
        is_array = self._text.startswith("[[", began)
        self._at += 2 if is_array else 1
        path: Path = ()
        keys = self._keys()
        for key in keys:
            path = (*path, key)
            self._note(path, began)
            if key is keys[-1] and is_array:
                self._elements[path] = self._elements.get(path, -1) + 1
            if path in self._elements:
                # A table below an array of tables belongs to its last one.
                path = (*path, self._elements[path])
                self._note(path, began)
        self._at += 2 if is_array else 1
        return path

    def _pair(self, table: Path) -> None:
        began = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, began)
        self._take("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        if string := STRING.match(self._text, self._at):
            self._at = string.end()
        elif self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif scalar := SCALAR.match(self._text, self._at):
            self._at = scalar.end()

    def _array(self, path: Path) -> None:
        element = 0
        while not self._take("]") and self._at < len(self._text):
            self._note((*path, element), self._at)
            self._value((*path, element))
            self._take(",")
            element += 1

    def _inline_table(self, path: Path) -> None:
        while not self._take("}") and self._at < len(self._text):
            self._pair(path)
            self._take(",")

    def _keys(self) -> list[str]:
        """A dotted key, its quotes taken off."""
        keys: list[str] = []
        while True:
            self._skip_blank()
            if bare := BARE.match(self._text, self._at):
                keys.append(bare[0])
                self._at = bare.end()
            elif quoted := STRING.match(self._text, self._at):
                keys.append(tomllib.loads(f"key = {quoted[0]}")["key"])
                self._at = quoted.end()
            else:
                self._at += 1  # not valid TOML: continue, or it never ends
            if not self._take("."):
                return keys

    def _take(self, sign: str) -> bool:
        """Whether this comes next, white space and comments apart; if so, it is behind us."""
        found = self._text.startswith(sign, self._skip_blank())
        self._at += len(sign) if found else 0
        return found

    def _skip_blank(self) -> int:
        blank = BLANK.match(self._text, self._at)
        assert blank is not None, "it matches nothing at all as well"
        self._at = blank.end()
        return self._at

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect_right(self._line_starts, at))


def _quoted(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in escaped)}"'


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said so: a flag, a variable, a file."""

    name: str
    """`flag`, `environment STENO_MODEL`, `.env.pipeline`, `config.toml`, `default`."""
    file: File | None = None
    lines: Mapping[Path, int] = field(default_factory=dict)
    """The line of each key in the file; `()` where one line holds all."""
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
    """One thing that its owner has to fix."""

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
    """`; did you mean …?` where a known name is near enough, else nothing. `within` precedes both."""
    near = get_close_matches(written, list(known), n=1)
    return f"; did you mean {within}{near[0]}?" if near else ""


def _path(error: ErrorDetails, whole: object) -> Path:
    """Where in `whole` it is: pydantic appends the names of types it has tried."""
    path: Path = ()
    here: Any = whole
    for step in error["loc"]:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            # A default may be wrong too (`~` where there is no home): it has no line.
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
