"""On which line of a TOML text each key stands, so that a mistake can be pointed at: pure.

Runs in: every process.

tomllib says what a document means and forgets where. This reads the same text for the places alone, and relies on
tomllib having found it valid: what it does not understand, it steps over.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

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


def lines_of(text: str) -> dict[Path, int]:
    """Every key, table and element of a valid TOML text → the line where it first stands, from 1."""
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
    """The line of this value, or of the nearest thing around it: what is missing stands nowhere."""
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
                self._at += 1  # not valid TOML; go on rather than for ever
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
