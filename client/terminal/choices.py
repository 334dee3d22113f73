"""What flags accept, beside the words of `ipc.vocabulary`.

Runs in: the user's shell.
"""

import os
from typing import Literal, get_args

from ipc.vocabulary import Format

Shell = Literal["bash", "zsh", "fish"]
TrueOrFalse = Literal["True", "False"]
"""How whisper's own command spells a switch."""

FORMATS: tuple[Format, ...] = get_args(Format)


def formats_of(text: str) -> tuple[str, ...]:
    """`json,srt` or `all` → formats without repeats. Raises ValueError that names what is not one."""
    if text.strip() == "all":
        return FORMATS
    wanted = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for format in wanted:
        if format not in FORMATS:
            raise ValueError(f"{format!r} is not a format; there are {', '.join(FORMATS)} and all")
    if not wanted:
        raise ValueError(f"name a format: {', '.join(FORMATS)} or all")
    return wanted


def name_template(text: str) -> str:
    """The template, if it is one. Raises ValueError that says what may be in it."""
    from config.field_types import name_template as checked

    return checked(text)


def model_named(name: str) -> str:
    """As the daemon understands it: a folder that lies here becomes a full path, for a daemon starts elsewhere."""
    from config.model_names import SHORT_NAMES

    folder = os.path.abspath(os.path.expanduser(name))  # noqa: PTH100, PTH111
    return folder if name not in (*SHORT_NAMES, "starter") and os.path.isdir(folder) else name  # noqa: PTH112


def absolute(path: str) -> str:
    """The full path, without `..`. Behind a link to a folder `..` is what the system makes of it, as for `cp`."""
    short = os.path.abspath(path)  # noqa: PTH100 - keeps the links that were named
    real = os.path.realpath(path)
    return short if os.path.realpath(short) == real else real
