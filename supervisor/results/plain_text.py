"""Text without control characters. Pure.

Runs in: supervisor.
"""

import re

INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""C0 and C1 control characters: they are not speech, and terminals execute them."""


def plain(text: str) -> str:
    """The text in one line, without control characters."""
    return INVISIBLE.sub("", " ".join(text.split()))
