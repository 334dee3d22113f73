"""What stenod runs on: this Python, its venv, the folders its names resolve to, SQLite.

Runs in: the user's shell.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from packaging.specifiers import SpecifierSet

from client.doctor.check import Case, Check, broken, ok, warning
from client.machine.specs import installed
from client.terminal import python_check as interpreter
from ipc.program import ROOT, install_again, is_checkout
from ipc.status_views import Finding

ROOMS = ("client", "config", "ipc", "launchd", "supervisor", "workers")
"""Our top-level packages; their names are plain, so that something else could answer to them."""
LONGEST_SHEBANG_BYTES = 512

OLDEST_SQLITE = (3, 35, 0)
"""The queue claims a job with UPDATE … RETURNING, which came with 3.35 (https://sqlite.org/lang_returning.html)."""
WAL_RESET_FIXED = (3, 51, 3)
"""Before it, two connections may damage a database in WAL mode (https://sqlite.org/wal.html#walresetbug)."""


def checks(case: Case) -> Iterator[Check]:
    yield Check("Installation", "installation", installation_findings)


def installation_findings() -> Iterator[Finding]:
    """All that can be seen from inside this process."""
    program = shutil.which("steno")
    yield python_finding(tuple(sys.version_info), sys.executable)
    yield venv_finding(sys.prefix, sys.base_prefix, install_again())
    yield from interpreter_findings(Path(sys.executable))
    yield from command_findings(None if program is None else Path(program), Path(sys.executable))
    yield from shadowing_findings({name: where_is(name) for name in ROOMS}, ROOT)
    # `uv sync --check` compares all versions with the lock file.
    yield from package_findings(installed, install_again())
    yield sqlite_finding(sqlite3.sqlite_version_info)


def python_finding(version: tuple[object, ...], program: str) -> Finding:
    """Whether this Python may run stenod; that its libraries are there was seen before we could be imported."""
    numbers = tuple(part for part in version if isinstance(part, int))
    if (found := interpreter.trouble(numbers, program, ())) is not None:
        return broken("python", *found, interpreter.remedy(str(ROOT), sys.prefix, ("doctor",)))
    return ok("python", f"Python {'.'.join(map(str, numbers[:3]))}, {program}")


def venv_finding(prefix: str, base_prefix: str, remedy: str) -> Finding:
    """`prefix` and `base_prefix` are sys's: they differ inside a venv."""
    if prefix != base_prefix:
        return ok("venv", f"a venv of its own, {prefix}")
    what = f"no venv: stenod shares {prefix} with everything else that is installed there"
    return warning("venv", what, "the next `pip install` may replace its libraries", remedy)


def interpreter_findings(python: Path) -> Iterator[Finding]:
    """Whether the link that the service starts survives `brew upgrade`. `python`: the venv's own."""
    try:
        target = python.parent / python.readlink()
    except OSError:
        return  # no link
    # Homebrew removes the folder of each release with the next one; opt/python@3.12 stays.
    if "Cellar" in target.parts or not target.exists():
        gone = "leads to nothing" if not target.exists() else "leads into the folder of one release"
        why = "the service ends with exit code 78 once that folder is removed"
        yield warning("interpreter", f"{python} {gone}: {target}", why, install_again())


def command_findings(program: Path | None, python: Path) -> Iterator[Finding]:
    """Whether the `steno` that a shell finds belongs to this Python. `program`: what PATH leads to."""
    if program is None:
        return  # called by its full path, which is no fault
    named = _shebang(program)
    if named is None or named.parent.resolve() == python.parent.resolve():
        return
    what = f"the `steno` on your PATH, {program}, belongs to another Python: {named}"
    why = "it talks to the same daemon with code of another version"
    yield warning("command", what, why, f"export PATH={quote(str(python.parent))}:$PATH")


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
        yield ok("packages_of_ours", f"all code of stenod comes from {root}")
    for name, place in astray.items():
        yield broken(
            "packages_of_ours",
            f"`import {name}` leads to {place or 'nothing'}, not to {root / name}",
            "a folder or package of the same name hides ours, and the daemon would run foreign code",
            "unset PYTHONPATH, and call `steno` from another folder; else remove that package from the venv",
        )


@dataclass(frozen=True, slots=True)
class BadVersions:
    """Versions of a library that are known to fail, and how they do."""

    name: str
    versions: str
    """As pip writes a range: `==0.32.1`, `>=1.0`."""
    why: str

    def includes(self, version: str) -> bool:
        return SpecifierSet(self.versions, prereleases=True).contains(version)


BAD = (
    BadVersions("mlx", "==0.32.1", "it segfaults at exit, after correct output; 0.32.4 does not"),
    BadVersions("torch", "<2.8", "WhisperX 3.8 is built against torch 2.8"),
    BadVersions("torch", ">=2.9", "WhisperX 3.8 is built against torch 2.8"),
    BadVersions("torchaudio", ">=2.9", "it belongs to a newer torch than WhisperX 3.8 is built against"),
    BadVersions("torchcodec", ">=0.8", "it is built for torch 2.9 and fails to load beside torch 2.8"),
    BadVersions("huggingface-hub", ">=1.0", "WhisperX 3.8 and transformers 4 do not import with it"),
    BadVersions("whisperx", "<3.8.3", "its aligner leaves out numbers and symbols and returns words without times"),
)

VersionOf = Callable[[str], str | None]
"""A package's installed version; None: it is not installed."""


def package_findings(version_of: VersionOf, remedy: str) -> Iterator[Finding]:
    """Libraries in versions that are known to fail."""
    bad = [(bad, version) for bad in BAD if (version := version_of(bad.name)) is not None and bad.includes(version)]
    for library, version in bad:
        yield broken("packages", f"{library.name} {version} is known to fail", library.why, remedy)
    if not bad:
        yield ok("packages", "no library has a version known to fail")


def sqlite_finding(version: tuple[int, ...]) -> Finding:
    """`version` is sqlite3.sqlite_version_info, of the library that this Python loads."""
    number = ".".join(map(str, version))
    if version < OLDEST_SQLITE:
        return broken(
            "sqlite",
            f"SQLite {number} is too old: the queue needs {'.'.join(map(str, OLDEST_SQLITE))}",
            "no job could be claimed: UPDATE … RETURNING is a syntax error to it",
            "use a Python with a newer SQLite (macOS: `brew install python@3.12`), then "
            + (f"`make -C {quote(str(ROOT))} clean setup`" if is_checkout() else "install stenod again with it"),
        )
    note = "" if version >= WAL_RESET_FIXED else "; its WAL-reset bug needs two connections, and stenod has one"
    return ok("sqlite", f"SQLite {number}{note}")
