"""Words that a reader would have to translate back stay out of the code, its help and its settings."""

import re
from pathlib import Path

import pytest
from rules.test_imports import ROOMS, ROOT

TICS = (
    "whoever",
    "for want of",
    "anew",
    "mend",
    "mends",
    "mended",
    "is had",
    "without a farewell",
    "forgiven",
    "somebody",
    "goes on",
    "in hand",
    "comes of it",
    "dies of",
    "for so long",
    "so many",
    "so long as",
    "the like",
    "ever since",
    "of its own accord",
)
READ = {".py", ".toml", ".plist", ".service", ".sql"}


def written_for_readers() -> list[Path]:
    inside = [file for room in ROOMS for file in (ROOT / room).rglob("*") if file.suffix in READ]
    return [*inside, ROOT / "README.md", ROOT / "ARCHITECTURE.md"]


@pytest.mark.parametrize("tic", TICS)
def test_plain_words_are_used_instead(tic: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in written_for_readers()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(rf"\b{tic}\b", line, re.IGNORECASE)
    ]
    assert not found
