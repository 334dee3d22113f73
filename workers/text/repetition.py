"""Text with a repetition loop → the text as far as it can have been spoken. Pure.

Runs in: worker.

People do repeat themselves: drills, chants, radio checks. So a text is cut only if no person could say it in the
seconds of voice there, and then to the number of copies that a person can say in that time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_CHARACTERS_A_SECOND = 30.0
"""Of voice. No person speaks faster (rapid speech has about 20)."""
USUAL_CHARACTERS_A_SECOND = 15.0
LEAST_COPIES = 4
"""Copies in a row: fewer are not a loop."""
MOSTLY = 0.5
LONGEST_UNIT = 60
"""Words, or characters of a script without spaces."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A repetition loop, by word positions in the text."""

    first: int
    unit: int
    """Words in one copy."""
    beyond: int

    @property
    def copies(self) -> int:
        return (self.beyond - self.first) // self.unit


def cut_down(text: str, voice_seconds: float) -> tuple[str, int | None]:
    """The text with its loop cut down, and the number of copies that the model wrote; None: all of it can have been
    spoken."""
    if len(text) <= MOST_CHARACTERS_A_SECOND * voice_seconds:
        return text, None
    words = text.split()
    circle = longest_loop([bare(word) for word in words])
    if circle is not None:
        return " ".join(without_extra_copies(circle, words, " ", voice_seconds)), circle.copies
    # A script without spaces, or an endless word: "L-L-L-L".
    circle = longest_loop([bare(sign) for sign in text])
    if circle is not None and (len(words) == 1 or circle.beyond - circle.first >= MOSTLY * len(text)):
        return "".join(without_extra_copies(circle, list(text), "", voice_seconds)), circle.copies
    return text, None


def without_extra_copies(circle: Loop, parts: list[str], space: str, voice_seconds: float) -> list[str]:
    """The parts with as many copies as a person can have spoken."""
    unit = len(space.join(parts[circle.first : circle.first + circle.unit]))
    said = max(1, min(circle.copies, int(voice_seconds * USUAL_CHARACTERS_A_SECOND / unit)))
    return [*parts[: circle.first + said * circle.unit], *parts[circle.beyond :]]


def shares_most_words(text: str, other: str) -> bool:
    """Whether most of one text is also in the other: then the sound itself leads to these words."""
    words, known = words_of(text), set(words_of(other))
    return sum(word in known for word in words) >= MOSTLY * len(words)


def words_of(text: str) -> list[str]:
    """The words of a text; its characters if the script has no spaces."""
    return [bare(part) for part in (text.split() if " " in text.strip() else text)]


def longest_loop(parts: Sequence[str]) -> Loop | None:
    """The longest part that repeats at least four times in a row; of equals the one with the shortest unit."""
    best: Loop | None = None
    for unit in range(1, min(LONGEST_UNIT, len(parts) // LEAST_COPIES) + 1):
        first = 0
        for place in range(unit, len(parts) + 1):
            if place < len(parts) and parts[place] == parts[place - unit]:
                continue
            found = Loop(first, unit, place)
            if found.copies >= LEAST_COPIES and (best is None or place - first > best.beyond - best.first):
                best = found
            first = place - unit + 1
    return best


def bare(part: str) -> str:
    """Without case and punctuation."""
    return "".join(sign for sign in part.casefold() if sign.isalnum()) or part
