"""Grapheme clusters: what a reader sees as one character, of one or more code points. Pure.

Runs in: supervisor.
"""

from functools import lru_cache
from typing import Any

EXTENDED_CLUSTER = r"[\u0e40-\u0e44\u0ec0-\u0ec4]?\X"
"""Unicode's extended grapheme cluster. A Thai or Lao vowel that is written before its consonant stays with it."""


def clusters_of(text: str) -> list[str]:
    """The text's grapheme clusters: `👩‍👧`, `é` and `เก` are one each. Joined, they are the text."""
    if text.isascii() and "\r" not in text:
        return list(text)
    found: list[str] = _pattern().findall(text)
    return found


def cut_to_bytes(text: str, most_bytes: int) -> str:
    """The beginning of the text, in whole clusters, that takes at most this many bytes in a file system.

    A cluster that alone takes more, such as a letter under a hundred accents, is cut between code points.
    """
    kept = ""
    left = most_bytes
    for cluster in clusters_of(text):
        size = len(cluster.encode("utf-8", "surrogateescape"))
        if size > left:
            return kept or cluster.encode("utf-8", "surrogateescape")[:left].decode(errors="ignore")
        kept += cluster
        left -= size
    return kept


@lru_cache(maxsize=1)
def _pattern() -> Any:
    # Imported only when needed: most names and words are plain ASCII.
    import regex  # type: ignore[import-untyped]  # ships no types

    return regex.compile(EXTENDED_CLUSTER)
