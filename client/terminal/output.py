"""How things reach the person or the script: stdout for answers, stderr for talk, nothing that moves the cursor.

Runs in: the user's shell.
"""

import json
import os
import re
import sys
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from ipc.errors import StenodError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from rich.console import Console, RenderableType
    from rich.text import Text

COLUMNS_OF_A_PIPE = 160
"""A table in a file or a pipe is cut here, not at a terminal's 80."""
C1_CONTROLS = re.compile(r"[\x7f-\x9f]")
TURNS_TEXT_AROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str, keep: str = "") -> str:
    """The text with everything a terminal would obey, or could not show, escaped; characters in `keep` stay."""
    return "".join(letter if letter in keep or not _is_dangerous(letter) else _escaped(letter) for letter in text)


def _is_dangerous(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or letter in TURNS_TEXT_AROUND


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


@cache
def out() -> "Console":
    """Answers."""
    return _console(is_stderr=False)


@cache
def err() -> "Console":
    """Progress, warnings and refusals."""
    return _console(is_stderr=True)


def _console(is_stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if is_stderr else sys.stdout
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    # Names of files are no markup, no numbers to paint and no emoji.
    return Console(
        stderr=is_stderr, width=COLUMNS_OF_A_PIPE if piped else None, markup=False, highlight=False, emoji=False
    )


def show(renderable: "RenderableType") -> None:
    """A view on stdout. Only a terminal gets the spaces that fill up a table's last column."""
    if out().is_terminal:
        out().print(renderable)
        return
    with out().capture() as drawn:
        out().print(renderable)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()), flush=True)


def print_line(text: str, keep: str = "") -> None:
    """One line on stdout, whole at any width; control characters are escaped but for those in `keep`."""
    print(visible(text, keep), flush=True)


def print_text(text: "Text | str", style: str = "") -> None:
    """A text with its colours on stdout, whole at any width; control characters are escaped but for line ends."""
    from rich.text import Text

    whole = Text(text, style) if isinstance(text, str) else text
    safe = Text(style=whole.style)
    for piece in whole.render(out()):
        safe.append(visible(piece.text, keep="\n\t"), piece.style)
    out().print(safe, soft_wrap=True)


def print_json(*values: "BaseModel") -> None:
    """One compact JSON line each."""
    for value in values:
        _print_json(value.model_dump_json())


def print_json_array(values: "Sequence[BaseModel]") -> None:
    """All of them as one JSON array."""
    _print_json("[" + ",".join(value.model_dump_json() for value in values) + "]")


def print_data(value: "Mapping[str, object]") -> None:
    """The same for what no model describes."""
    _print_json(json.dumps(value))


def _print_json(text: str) -> None:
    """The same values everywhere; what a terminal would obey, or stdout cannot encode, is written as `\\u009b`."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text))
    # JSON itself escapes what is below U+0020; DEL and the C1 controls mean something to terminals as well.
    print(C1_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text), flush=True)


def print_error(error: StenodError, as_json: bool, **about: object) -> None:
    """What was refused: for people on stderr, and for scripts one line on stdout. `about`: the file or job."""
    if as_json:
        refusal = {"code": error.code, "message": error.message, "hint": error.hint}
        print_data({**about, "error": refusal})
    whose = "".join(f"{one}: " for one in about.values() if str(one) not in error.message)
    say_error(f"{whose}{error.message}", error.hint)


def say(text: str, keep: str = "") -> None:
    """Talk on stderr: one line, but for the control characters in `keep`."""
    print(visible(text, keep), file=sys.stderr, flush=True)


def say_error(message: str, hint: str) -> None:
    """What happened, and what to do about it."""
    say(f"steno: {message}")
    for line in hint.splitlines():
        say(f"       {line}")
