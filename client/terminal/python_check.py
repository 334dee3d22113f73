"""Whether this Python can run stenod at all, told in words where it cannot; before any library is loaded.

Runs in: the user's shell. Also under Pythons that are far too old, and in venvs of something else: nothing but the
standard library of Python 3.6 and its syntax, and no annotation that has to be evaluated.
"""

import json
import os
import sys
from importlib.util import find_spec
from shlex import quote

OLDEST = (3, 11)
TOO_NEW = (3, 14)
"""PyTorch 2.8 and CTranslate2 have no wheels from here on."""
NEEDED = (
    "typer",
    "rich",
    "pydantic",
    "platformdirs",
    "psutil",
    "dotenv",
    "watchdog",
    "packaging",
)
"""What the command itself imports. The engines' libraries are looked at by `steno doctor`."""

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


def trouble(
    version: "tuple[int, ...]", program: str, missing: "tuple[str, ...]", is_translated: bool = False
) -> "tuple[str, str] | None":
    """What is wrong with a Python and why that matters; None: nothing. `missing`: libraries it does not find.
    `is_translated`: it runs as an Intel program on a Mac."""
    number = ".".join(str(part) for part in version[:3])
    if not OLDEST <= tuple(version[:2]) < TOO_NEW:
        return (
            f"wrong Python: {program} is Python {number}, and stenod runs on 3.11, 3.12 and 3.13",
            "its engines have no builds for other versions, and its code is written for these",
        )
    if is_translated:
        return (
            f"wrong Python: {program} runs as an Intel program, as under Rosetta",
            "stenod's libraries are built for Apple silicon and cannot be loaded into it",
        )
    if missing:
        return (
            f"wrong Python: {program} (Python {number}) lacks {', '.join(missing)}",
            "stenod runs in a venv of its own, which holds its libraries in tested versions; this is not that venv",
        )
    return None


def remedy(root: str, prefix: str, words: "tuple[str, ...]") -> str:
    """The command to type instead. `prefix`: sys.prefix of the wrong Python; `words`: those after `steno`."""
    venv = os.path.join(root, ".venv")  # noqa: PTH118
    program = os.path.join(venv, "bin", "steno")  # noqa: PTH118
    if os.path.exists(program) and os.path.realpath(prefix) != os.path.realpath(venv):  # noqa: PTH110
        return " ".join(quote(word) for word in (program, *words))
    if os.path.exists(os.path.join(root, "Makefile")):  # noqa: PTH110, PTH118
        # The mark of a finished setup goes first: a venv that lost a library has it still.
        again = " ".join(quote(word) for word in (program, *words))
        return f"rm -f {quote(venv)}/.ready; make -C {quote(root)} setup && {again}"
    return "install stenod again with Python 3.11, 3.12 or 3.13, into a venv of its own"


def leave_if_wrong() -> None:
    """Ends the process with code 1 and three lines instead of a traceback; returns where all is well."""
    missing = tuple(name for name in NEEDED if find_spec(name) is None)
    # A Python of python.org is both; one that was set up natively becomes an Intel program in a terminal that is one.
    is_translated = sys.platform == "darwin" and os.uname().machine == "x86_64"
    found = trouble(tuple(sys.version_info[:3]), sys.executable or "this Python", missing, is_translated)
    if found is None:
        return
    words = tuple(sys.argv[1:])
    what, why = found
    fix = remedy(ROOT, sys.prefix, words)
    if is_translated:
        fix = "arch -arm64 " + " ".join(quote(word) for word in (sys.argv[0], *words))
    if words[:1] == ("doctor",) and "--json" in words:
        finding = {"check": "python", "state": "broken", "what": what, "why": why, "remedy": fix}
        print(json.dumps({"healthy": False, "findings": [finding]}))
    else:
        print(f"steno: {what}\n       {why}\n       {fix}", file=sys.stderr)
    sys.exit(1)
