"""Which model times the words of a language, and where it lies on this machine.

Runs in: worker. Names no model library: WhisperX's tables of default models come in as arguments.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.model_names import HUB_ID
from workers.engine import EngineRefusal
from workers.models.download import describe, fetch_snapshot, names_in
from workers.models.find import what_is_torn
from workers.models.hub_cache import cached_snapshot
from workers.models.starter import sha256_of

STARTER_FOLDER = Path(__file__).parent / "starter_aligner"
DESCRIPTION_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Either will do; the first is preferred, because the second is a pickle."""


@dataclass(frozen=True, slots=True)
class AlignmentModel:
    """A CTC model of WhisperX's kinds: a wav2vec2 folder of Hugging Face's, or a bundle of torchaudio's."""

    name: str
    """As a person would name it."""
    folder: Path | None
    """Verified; None for a bundle, which torchaudio finds by its name."""
    languages: frozenset[str] | None = None
    """What it can time; None: whatever the owner takes it for."""
    start_bias_seconds: float = 0.0
    """How late its word starts are on average."""

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
        """The languages whose default it is; None if it is no language's."""
        tables = (*self.bundles.items(), *self.hub_ids.items())
        return frozenset(language for language, default in tables if default == name) or None


def find_alignment_model(
    name: str, defaults: DefaultModels, allow_download: bool, downloading: Callable[[], None]
) -> AlignmentModel:
    """`starter`, a name from WhisperX's tables, a folder or a hub id → a model that can be opened.

    Raises EngineRefusal `unknown_model`, `needs_model` or `model_damaged`.
    """
    if name == "starter":
        return starter_aligner()
    languages = defaults.languages_of(name)
    if name in defaults.bundles.values():
        return AlignmentModel(name, None, languages)
    folder = Path(name).expanduser()
    if folder.is_dir():
        check_files(folder)
        return AlignmentModel(folder.absolute().name, folder.absolute(), languages)
    if HUB_ID.fullmatch(name):
        return AlignmentModel(name, find_on_hub(name, allow_download, downloading), languages)
    if folder.is_absolute():
        raise EngineRefusal(
            "needs_model", f"needs alignment model {name}, a folder", "put it there, mount its disk, or name another"
        )
    raise EngineRefusal(
        "unknown_model",
        f"there is no alignment model or folder {name!r}",
        f"take `starter`, a folder, a hub id, or one of {', '.join(sorted(set(defaults.bundles.values())))}",
    )


def starter_aligner(folder: Path = STARTER_FOLDER, *, deep: bool = True) -> AlignmentModel:
    """The small English model that comes with stenod, its weights as pinned unless not `deep`.

    Raises EngineRefusal `model_damaged`.
    """
    try:
        card = json.loads((folder / "starter.json").read_bytes())
        for name, pinned in card["sha256"].items():
            if deep and sha256_of(folder / name) != pinned:
                raise damaged(folder, f"{name} has another sha256 than starter.json says")
    except (OSError, ValueError) as error:
        raise damaged(folder, str(error)) from error
    check_files(folder)
    return AlignmentModel("starter", folder, frozenset({card["language"]}), card["start_bias_seconds"])


def find_on_hub(hub_id: str, allow_download: bool, downloading: Callable[[], None]) -> Path:
    """The snapshot in the shared Hugging Face cache, fetched first if need be. Raises EngineRefusal `needs_model`."""
    cached = cached_snapshot(hub_id, (*DESCRIPTION_FILES, *WEIGHTS))
    if cached is not None and missing_file(cached) is None:
        check_files(cached)
        return cached
    why = ""
    if allow_download:
        try:
            about = describe(hub_id)
            weights = next((name for name in WEIGHTS if name in names_in(about)), WEIGHTS[0])
            wanted = (*DESCRIPTION_FILES, weights)
            folder, _ = fetch_snapshot(hub_id, about, wanted, lambda *how_far: downloading())
            if missing_file(folder) is None:
                return folder
            why = ": the hub has no such files"
        except EngineRefusal as refusal:
            why = f": {refusal.message}"
    raise needs_model(hub_id, why)


def needs_model(name: str, why: str = "") -> EngineRefusal:
    return EngineRefusal(
        "needs_model",
        f"needs alignment model {name}{why}",
        f"run `steno models pull {name}`, name a folder, or use the alignment model `starter` (English)",
    )


def no_alignment_model(language: str, why: str) -> EngineRefusal:
    """The refusal that lets a job finish with segment times."""
    return EngineRefusal(
        f"no_alignment_model:{language}",
        f"words of the language {language!r} cannot be timed: {why}",
        f"run `steno models pull --lang {language}`, or set an alignment model for this language",
    )


def check_files(folder: Path) -> None:
    """Raises EngineRefusal `model_damaged` if something is missing or torn."""
    if missing := missing_file(folder):
        raise damaged(folder, f"{missing} is missing")
    weights = folder / WEIGHTS[0]
    # A pytorch_model.bin is a zip or a pickle: only opening it tells.
    if weights.is_file() and (why := what_is_torn(weights)):
        raise damaged(folder, f"{weights.name} is not whole: {why}")


def missing_file(folder: Path) -> str | None:
    """The first file without which a wav2vec2 model cannot be opened."""
    for name in ("config.json", "vocab.json"):
        if not (folder / name).is_file():
            return name
    return None if any((folder / name).is_file() for name in WEIGHTS) else WEIGHTS[0]


def damaged(folder: Path, why: str) -> EngineRefusal:
    return EngineRefusal(
        "model_damaged", f"the alignment model in {folder} cannot be used: {why}", "delete it and install it again"
    )
