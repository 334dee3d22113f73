"""Where each key of a TOML text stands: whatever tomllib finds in it, on the line where it is written."""

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import config
from config.errors import Path, dotted, line_at, lines_of

DECOYS = ["fake1 = 3", "[fake2]", "[[fake3]]", "}", "]", "#", "# fake4 = 1", "'", "a.b", "ümläut", ""]
"""What a text may hold to look like keys: only names that begin with `key` are."""


def paths_of(value: object, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    match value:
        case dict():
            for key, inner in value.items():
                yield from paths_of(inner, (*path, key))
        case list():
            for position, inner in enumerate(value):
                yield from paths_of(inner, (*path, position))


class Writer:
    """A document with a fresh name for each key, so that the line of a name is the line of its key."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.names = 0

    def choose(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def decoy(self) -> str:
        return str(self.choose(*DECOYS))

    def key(self) -> str:
        self.names += 1
        name = f"key{self.names}"
        return str(self.choose(name, name, f'"{name}"', f"'{name}'", f'"{name}.dot # ]"', f'"\\u006b{name[1:]} = "'))

    def keys(self) -> str:
        return str(self.choose(".", " . ")).join(self.key() for _ in range(self.choose(1, 1, 2, 3)))

    def blank(self) -> str:
        return str(self.choose("", " ", "\t"))

    def gap(self) -> str:
        return str(self.choose("", "\n", "\r\n  ", f" # {self.decoy()}\n", "\n\n"))

    def string(self) -> str:
        decoys = [self.decoy() for _ in range(self.choose(1, 2, 3))]
        long = "\n".join(decoys)
        return str(
            self.choose(
                json.dumps(decoys[0], ensure_ascii=False),
                '"a \\" # b \\\\"',
                "'#[]{}='",
                "'C:\\'",
                f'"""{long}"""',
                f'"""\n{long}""x\\" """""',
                f"'''\n{long.replace(chr(39), '')}''x'''''",
                '""',
                "''",
                '""""""',
            )
        )

    def value(self, depth: int) -> str:
        kind = self.choose("string", "scalar", "array", "table") if depth else self.choose("string", "scalar")
        if kind == "string":
            return self.string()
        if kind == "scalar":
            return str(self.choose("1", "-1.5e3", "true", "1979-05-27 07:32:00", "07:32:00", "inf", "0xff"))
        inner = [self.value(depth - 1) for _ in range(self.choose(0, 1, 3))]
        if kind == "array":
            ending = self.choose("", ",") if inner else ""
            return f"[{self.gap()}{f'{self.gap()},{self.gap()}'.join(inner)}{self.gap()}{ending}{self.gap()}]"
        pairs = [f"{self.keys()}{self.blank()}={self.blank()}{one}" for one in inner]
        return "{" + self.blank() + ", ".join(pairs) + self.blank() + "}"

    def pairs(self) -> str:
        lines = []
        for _ in range(self.choose(0, 1, 2)):
            tail = self.choose("", f" # {self.decoy()}")
            end = self.choose("\n", "\r\n")
            lines.append(f"{self.blank()}{self.keys()} = {self.value(2)}{tail}{end}{self.gap()}")
        return "".join(lines)

    def document(self) -> str:
        arrays: list[str] = []
        text = self.gap() + self.pairs()
        for _ in range(self.choose(0, 1, 2, 4)):
            kind = self.choose("table", "array", "again", "below")
            if kind == "again" and arrays:
                header = f"[[{self.choose(*arrays)}]]"
            elif kind == "below" and arrays:
                header = f"[ {self.choose(*arrays)} . {self.key()} ]"
            elif kind == "array":
                arrays.append(self.keys())
                header = f"[[{arrays[-1]}]]"
            else:
                header = f"[{self.blank()}{self.keys()}]"
            text += f"{header}{self.blank()}{self.choose('', '# [fake5]')}\n{self.gap()}{self.pairs()}"
        return text


@st.composite
def documents(draw: Callable[..., Any]) -> str:
    return Writer(draw).document()


def line_of_name(text: str, name: str) -> int:
    number = name.removeprefix("key").split(".")[0].split(" ")[0]
    lines = text.split("\n")
    return next(
        at
        for at, line in enumerate(lines, 1)
        for sign in ("key", "u006bey")
        if any(not rest[:1].isdigit() for rest in line.split(f"{sign}{number}")[1:])
    )


@settings(max_examples=150, deadline=None)
@given(documents())
def test_every_key_of_any_document_is_found_on_the_line_where_it_is_first_written(text: str) -> None:
    lines = lines_of(text)
    assert set(lines) == set(paths_of(tomllib.loads(text)))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert line == line_of_name(text, path[-1]), (path, text)


def test_the_elements_of_arrays_have_lines_of_their_own() -> None:
    text = 'watch = [\n  { path = "/a" },\n  # no\n  { path = "/b", formats = ["json",\n "pdf"] },\n]\n'
    lines = lines_of(text)
    assert lines[("watch", 0)] == 2
    assert (lines[("watch", 1)], lines[("watch", 1, "path")], lines[("watch", 1, "formats", 1)]) == (4, 4, 5)


def test_each_table_of_an_array_has_a_line_and_what_is_missing_in_it_is_there() -> None:
    lines = lines_of('[[watch]]\npath = "/a"\n\n[[watch]]\nlanguage = "de"\n[watch.replacements]\n"a.b" = "c"\n')
    assert (lines[("watch", 0)], lines[("watch", 1)]) == (1, 4)
    assert line_at(lines, ("watch", 1, "path")) == 4
    assert line_at(lines, ("watch", 1, "replacements", "a.b")) == 7
    assert line_at(lines, ("hooks", "on_done")) is None


def test_a_path_is_said_as_people_write_it() -> None:
    assert dotted(("watch", 1, "replacements", "Steno D")) == 'watch[1].replacements."Steno D"'
    assert dotted(("replacements", 'a"\n')) == 'replacements."a\\"\\n"'


def test_the_default_file_is_read_to_its_end() -> None:
    text = File(config.__file__).with_name("default.toml").read_text(encoding="utf-8")
    lines = lines_of(text)
    assert list(lines) == list(paths_of(tomllib.loads(text)))
    assert text.split("\n")[lines[("logs",)] - 1] == "[logs]"


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="[]{}=.,#\"'\n key1\\", max_size=40))
def test_no_text_however_broken_keeps_it_for_ever(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(lines_of(text)) == set(paths_of(tomllib.loads(text)))
