"""What flags accept, beside the words of `ipc.vocabulary`.

Runs in: the user's shell.
"""

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
