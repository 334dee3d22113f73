"""Finds the alignment model of a language and its folder on this machine.

Runs in: worker. Imports no model library: WhisperX's tables of default models are passed as arguments.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from workers.engine import EngineRefusal
from workers.models.contents import check_files
from workers.models.find import find_on_hub
from workers.models.source import model_source
from workers.models.starter import sha256_of

STARTER_FOLDER = Path(__file__).parent / "starter_aligner"


@dataclass(frozen=True, slots=True)
class AlignmentModel:
    """A CTC model of WhisperX's kinds: a wav2vec2 folder of Hugging Face's, or a bundle of torchaudio's."""

    name: str
    """The name that users type."""
    folder: Path | None
    """Verified; None: a bundle, which torchaudio finds by its name."""
    languages: frozenset[str] | None = None
    """The languages it can align; None: unknown, any language is accepted."""
    start_bias_seconds: float = 0.0
    """How late its word starts are on average, in seconds."""

    def suits(self, language: str) -> bool:
        return self.languages is None or language in self.languages


@dataclass(frozen=True, slots=True)
class DefaultModels:
    """WhisperX's choice for each language, as `whisperx.alignment` has it."""

    bundles: Mapping[str, str]
    """Language → name in torchaudio.pipelines."""
    hub_ids: Mapping[str, str]
    """Language → owner/name on the hub."""

    def name_for(self, language: str) -> str | None:
        return self.bundles.get(language) or self.hub_ids.get(language)

    def languages_of(self, name: str) -> frozenset[str] | None:
        """The languages that use it by default; None: no language does."""
        tables = (*self.bundles.items(), *self.hub_ids.items())
        return frozenset(language for language, default in tables if default == name) or None


def find_alignment_model(
    name: str, defaults: DefaultModels, allow_download: bool, downloading: Callable[[], None]
) -> AlignmentModel:
    """`starter`, a name from WhisperX's tables, a folder or a hub id → a model that can be opened.

    Raises EngineRefusal `unknown_model`, `needs_model` or `model_damaged`.
    """
    folder = Path(name).expanduser()
    if folder.is_absolute() and not folder.is_dir():
        raise EngineRefusal(
            "needs_model", f"needs alignment model {name}, a folder", "put it there, mount its disk, or name another"
        )
    source, languages = model_source(name, "wav2vec2", "whisperx"), defaults.languages_of(name)
    match source.origin:
        case "starter":
            return starter_aligner()
        case "bundle":
            return AlignmentModel(name, None, languages)
        case "folder":
            found = Path(source.id)
            check_files("wav2vec2", "whisperx", found)
            return AlignmentModel(found.name, found, languages)
        case "hub":
            fetching = downloading if allow_download else None
            found = find_on_hub(name, "wav2vec2", "whisperx", partial(needs_model, name), fetching)
            return AlignmentModel(name, found, languages)
        case _:
            assert_never(source.origin)


def starter_aligner(folder: Path = STARTER_FOLDER, *, deep: bool = True) -> AlignmentModel:
    """The small English model that comes with stenod. `deep`: check its files against their pinned sha256.

    Raises EngineRefusal `model_damaged`.
    """
    try:
        card = json.loads((folder / "starter.json").read_bytes())
        for name, pinned in card["sha256"].items():
            if deep and sha256_of(folder / name) != pinned:
                raise damaged(folder, f"{name} has another sha256 than starter.json says")
    except (OSError, ValueError) as error:
        raise damaged(folder, str(error)) from error
    check_files("wav2vec2", "whisperx", folder)
    return AlignmentModel("starter", folder, frozenset({card["language"]}), card["start_bias_seconds"])


def needs_model(name: str, why: str = "") -> EngineRefusal:
    return EngineRefusal(
        "needs_model",
        f"needs alignment model {name}{why}",
        f"run `steno models pull {name}`, name a folder, or use the alignment model `starter` (English)",
    )


def no_alignment_model(language: str, why: str) -> EngineRefusal:
    """The refusal after which a job finishes with segment times only."""
    return EngineRefusal(
        f"no_alignment_model:{language}",
        f"words of the language {language!r} cannot be timed: {why}",
        f"run `steno models pull --lang {language}`, or set an alignment model for this language",
    )


def damaged(folder: Path, why: str) -> EngineRefusal:
    return EngineRefusal(
        "model_damaged", f"the alignment model in {folder} cannot be used: {why}", "delete it and install it again"
    )
