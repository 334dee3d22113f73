"""What stenod stands on: this Python, its venv, the folders its names resolve to, SQLite.

Runs in: the user's shell.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from client.machine.packages import package_findings
from client.terminal import python_check as interpreter
from ipc.program import ROOT, install_again, is_checkout
from ipc.status_views import Finding

ROOMS = ("client", "config", "ipc", "launchd", "supervisor", "workers")
"""Our top-level packages; their names are plain, so that something else could answer to them."""
LONGEST_SHEBANG_BYTES = 512

OLDEST_SQLITE = (3, 35, 0)
"""The queue claims a job with UPDATE … RETURNING, which came with 3.35 (https://sqlite.org/lang_returning.html)."""
WAL_RESET_MENDED = (3, 51, 3)
"""Before it, two connections may damage a database in WAL mode (https://sqlite.org/wal.html#walresetbug)."""


def installation_findings() -> list[Finding]:
    """All that can be seen from inside this process."""
    program = shutil.which("steno")
    return [
        python_finding(tuple(sys.version_info), sys.executable),
        venv_finding(sys.prefix, sys.base_prefix, install_again()),
        *command_findings(None if program is None else Path(program), Path(sys.executable)),
        *shadowing_findings({name: where_is(name) for name in ROOMS}, ROOT),
        *package_findings(install_again()),
        sqlite_finding(sqlite3.sqlite_version_info),
    ]


def python_finding(version: tuple[object, ...], program: str) -> Finding:
    """Whether this Python may run stenod; that its libraries are there was seen before we could be imported."""
    numbers = tuple(part for part in version if isinstance(part, int))
    if (found := interpreter.trouble(numbers, program, ())) is not None:
        what, why = found
        fix = interpreter.remedy(str(ROOT), sys.prefix, ("doctor",))
        return Finding(check="python", state="broken", what=what, why=why, remedy=fix)
    return Finding(check="python", state="ok", what=f"Python {'.'.join(map(str, numbers[:3]))}, {program}")


def venv_finding(prefix: str, base_prefix: str, remedy: str) -> Finding:
    """`prefix` and `base_prefix` are sys's: they differ inside a venv."""
    if prefix != base_prefix:
        return Finding(check="venv", state="ok", what=f"a venv of its own, {prefix}")
    return Finding(
        check="venv",
        state="warning",
        what=f"no venv: stenod shares {prefix} with whatever else is installed there",
        why="the next `pip install` of something else may exchange its libraries",
        remedy=remedy,
    )


def command_findings(program: Path | None, python: Path) -> Iterator[Finding]:
    """Whether the `steno` that a shell finds belongs to this Python. `program`: what PATH leads to."""
    if program is None:
        return  # called by its full path, which is no fault
    named = _shebang(program)
    if named is None or named.parent.resolve() == python.parent.resolve():
        return
    yield Finding(
        check="command",
        state="warning",
        what=f"the `steno` on your PATH, {program}, belongs to another Python: {named}",
        why="what you type there speaks to the same daemon with other code than this",
        remedy=f"export PATH={quote(str(python.parent))}:$PATH",
    )


def _shebang(program: Path) -> Path | None:
    try:
        with program.open("rb") as script:
            line = script.readline(LONGEST_SHEBANG_BYTES)
    except OSError:
        return None
    words = os.fsdecode(line.removeprefix(b"#!")).split() if line.startswith(b"#!") else []
    return Path(words[0]) if words and "python" in Path(words[0]).name else None


def where_is(name: str) -> Path | None:
    """The folder that answers to a package's name; None: none does, or it is no package with a file."""
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def shadowing_findings(places: Mapping[str, Path | None], root: Path) -> Iterator[Finding]:
    """`places`: each of our names and the folder that answers to it."""
    root = root.resolve()
    astray = {name: place for name, place in places.items() if place is None or place.resolve() != root / name}
    if not astray:
        yield Finding(check="packages_of_ours", state="ok", what=f"all code of stenod comes from {root}")
    for name, place in astray.items():
        yield Finding(
            check="packages_of_ours",
            state="broken",
            what=f"`import {name}` leads to {place or 'nothing'}, not to {root / name}",
            why="a folder or package of the same name hides ours, and the daemon would run foreign code",
            remedy="unset PYTHONPATH, and call `steno` from another folder; else remove that package from the venv",
        )


def sqlite_finding(version: tuple[int, ...]) -> Finding:
    """`version` is sqlite3.sqlite_version_info, of the library that this Python loads."""
    number = ".".join(map(str, version))
    if version < OLDEST_SQLITE:
        return Finding(
            check="sqlite",
            state="broken",
            what=f"SQLite {number} is too old: the queue needs {'.'.join(map(str, OLDEST_SQLITE))}",
            why="no job could be claimed: UPDATE … RETURNING is a syntax error to it",
            remedy="use a Python with a newer SQLite (macOS: `brew install python@3.12`), then "
            + (f"`make -C {quote(str(ROOT))} clean setup`" if is_checkout() else "install stenod again with it"),
        )
    doubt = "" if version >= WAL_RESET_MENDED else "; its WAL-reset bug needs two connections, and stenod has one"
    return Finding(check="sqlite", state="ok", what=f"SQLite {number}{doubt}")
