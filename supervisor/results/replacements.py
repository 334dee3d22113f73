"""Replacement of words that the model keeps getting wrong: pure.

Runs in: supervisor.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ipc.transcript import Segment


def rewritten(segments: Sequence[Segment], replacements: Mapping[str, str]) -> tuple[Segment, ...]:
    """The segments with those words replaced, before they are aligned or counted."""
    if not replacements:
        return tuple(segments)
    return tuple(segment.model_copy(update={"text": replaced(segment.text, replacements)}) for segment in segments)


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """The text with every listed word or phrase replaced, once: replacements are not searched again.

    Whole words only; of two that begin at the same place the longer one; a space in a phrase matches any white space.
    A phrase in lower case matches any case, others match exactly. A text that would become empty stays unchanged: an
    empty segment would hide that there was speech.
    """
    phrases = _phrases(tuple(replacements.items()))
    spaced = " ".join(text.split())
    pieces: list[str] = []
    untouched, at = 0, 0
    while at < len(spaced):
        length = phrases.length_at(spaced, at)
        if length == 0:
            at += 1
            continue
        pieces += [spaced[untouched:at], phrases.instead_of(spaced[at : at + length])]
        untouched = at = at + length
    if not pieces:
        return text
    # If a word is deleted, its space goes too.
    return " ".join("".join([*pieces, spaced[untouched:]]).split()) or text


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases to replace, found by length and look-up: ten thousand phrases cost no more than ten."""

    exact: Mapping[str, str]
    small: Mapping[str, str]
    """Phrases in lower case, which match any case."""
    lengths: tuple[int, ...]
    """Lengths of all phrases, longest first."""

    def length_at(self, text: str, at: int) -> int:
        """The length of the longest phrase at this place that consists of whole words; 0: none."""
        if not _is_edge(text, at):
            return 0
        for length in self.lengths:
            found = text[at : at + length]
            if (found in self.exact or found.lower() in self.small) and _is_edge(text, at + len(found)):
                return len(found)
        return 0

    def instead_of(self, found: str) -> str:
        """The replacement for a found phrase."""
        return self.exact[found] if found in self.exact else self.small[found.lower()]


@lru_cache(maxsize=32)
def _phrases(replacements: tuple[tuple[str, str], ...]) -> Phrases:
    spaced = {phrase: new for written, new in replacements if (phrase := " ".join(written.split()))}
    small = {phrase: new for phrase, new in spaced.items() if phrase == phrase.lower()}
    exact = {phrase: new for phrase, new in spaced.items() if phrase not in small}
    return Phrases(exact, small, tuple(sorted({len(phrase) for phrase in spaced}, reverse=True)))


def _is_edge(text: str, at: int) -> bool:
    """Whether this place is a word boundary. Chinese and Japanese write words without gaps."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    return not (_is_in_a_word(before) and _is_in_a_word(after)) or _is_wide(before) or _is_wide(after)


def _is_in_a_word(sign: str) -> bool:
    # An accent may be a separate combining character.
    return sign.isalnum() or sign == "_" or unicodedata.combining(sign) != 0


def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in ("W", "F") and not unicodedata.name(sign, "").startswith("HANGUL")
