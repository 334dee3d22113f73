"""NLTK's punkt data, by which `whisperx.align` cuts sentences: what comes along, what was fetched, what can be read.

Runs in: worker.

stenod's own aligner cuts words from its own text and never asks for it. It is here for engines of the owner's own
that call `whisperx.align`, which would otherwise go to the network in the middle of a job.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from workers.models.find_aligner import STARTER_FOLDER

PACKAGED = STARTER_FOLDER / "nltk_data"
"""English, with a short list of abbreviations; as NLTK_DATA wants it."""
TABLES = ("abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab")
PUNKT_NAMES = {
    "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian",
    "fi": "finnish", "fr": "french", "it": "italian", "ml": "malayalam", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ru": "russian", "sl": "slovene", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Language → NLTK's name for it, as in whisperx.utils; a test compares."""


def fetched_folder(models: Path) -> Path:
    """Where the other languages are kept once they were fetched; as NLTK_DATA wants it."""
    return models / "nltk_data"


def offer_punkt_data(models: Path, environment: MutableMapping[str, str]) -> None:
    """NLTK finds all of it from now on, after what the owner has set; it reads NLTK_DATA when it is imported."""
    folders = (environment.get("NLTK_DATA"), str(PACKAGED), str(fetched_folder(models)))
    environment["NLTK_DATA"] = os.pathsep.join(folder for folder in folders if folder)


def what_is_wrong_with(data: Path, language: str) -> str | None:
    """Why the language's data in this folder cannot be used; None: it can."""
    folder = data / "tokenizers" / "punkt_tab" / PUNKT_NAMES[language]
    try:
        written = {name: (folder / name).read_text(encoding="utf-8") for name in TABLES}
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except UnicodeDecodeError:
        return f"{folder} does not hold text"
    if not written["abbrev_types.txt"].strip():
        return f"{folder / 'abbrev_types.txt'} is empty"
    return None


def folder_of(models: Path, language: str) -> Path | None:
    """Where NLTK would find the language; None: in neither of the two folders."""
    return next(
        (data for data in (PACKAGED, fetched_folder(models)) if what_is_wrong_with(data, language) is None), None
    )


def languages_here(models: Path) -> tuple[str, ...]:
    """All whose data can be read."""
    return tuple(language for language in PUNKT_NAMES if folder_of(models, language) is not None)
