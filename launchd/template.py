"""A commented template, filled in: pure. A paragraph whose value is not given is left out, its comment with it.

Runs in: the installer.
"""

import re
from collections.abc import Mapping
from pathlib import Path

PLACE = re.compile(r"^[ \t]*@(\w+)@$", re.MULTILINE)
"""A line that is replaced as a whole."""


def filled(template: str, lines: Mapping[str, str | None]) -> str:
    """The template with every `@Name@` line replaced by the lines of that name.

    Paragraphs are separated by blank lines. KeyError for a name without a value, not even None.
    """
    paragraphs = (paragraph for paragraph in template.split("\n\n"))
    kept = [
        # Put in by a function: what is put in is not searched again, and its backslashes are its own.
        PLACE.sub(lambda place: lines[place[1]] or "", paragraph)
        for paragraph in paragraphs
        if all(lines[name] is not None for name in PLACE.findall(paragraph))
    ]
    return "\n\n".join(kept)


def read_template(name: str) -> str:
    """One of the templates beside this file."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
