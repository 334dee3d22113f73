"""Turns the arguments of `steno models pull` into the models to download, with their limitations.

Runs in: worker (the program behind `steno models`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from config.engines import EngineChoice, ModelNeeded, models_needed
from config.model_names import (
    ALIGNMENT_BUNDLES,
    ALIGNMENT_HUB_IDS,
    BUNDLE_FILES,
    DEFAULT_MODEL,
    ENGLISH_ONLY,
    HUB_IDS,
    WITHOUT_TRANSLATION,
    ModelEngine,
    default_aligner,
    languages_of_aligner,
)
from config.settings import Settings
from workers.engine import EngineRefusal
from workers.model_manager.condition import source_of
from workers.models.source import ModelSource, model_source


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One requested model."""

    name: str
    """The name that users type."""
    source: ModelSource
    is_open: bool = False
    """True: a hub id that no setting needs, so it may be any kind of model."""


def requests_by_name(
    name: str, settings: Settings, choice: EngineChoice, engine: ModelEngine | None
) -> tuple[ModelRequest, ...]:
    """The models that the settings mean by this name, for every engine; otherwise the transcriber's model of this
    name.

    `engine` decides if both engines know the name. Raises EngineRefusal `unknown_model`.
    """
    needed = [one for one in models_needed(settings, choice) if one.name == name and engine in (None, one.engine)]
    if needed:
        return _unique(ModelRequest(name, source_of(one)) for one in needed)
    if name in BUNDLE_FILES or name in ALIGNMENT_HUB_IDS.values():
        return (ModelRequest(name, model_source(name, "wav2vec2", "whisperx")),)
    if name == "starter":
        return (
            ModelRequest(name, model_source(name, "whisper", "whisperx")),
            ModelRequest("starter aligner", model_source(name, "wav2vec2", "whisperx")),
        )
    try:
        source = model_source(name, "whisper", engine or usual_engine(choice))
        return (ModelRequest(name, source, is_open=engine is None and source.id == name and source.origin == "hub"),)
    except EngineRefusal as unknown:
        raise _unknown(name, unknown) from unknown


def usual_engine(choice: EngineChoice) -> ModelEngine:
    """The engine that a name without an engine refers to."""
    return next((engine for engine in DEFAULT_MODEL if engine == choice.transcriber), "whisperx")


def requests_of_settings(
    settings: Settings, choice: EngineChoice, languages: Sequence[str]
) -> tuple[ModelRequest, ...]:
    """All models that the settings need, and WhisperX's aligner for each of `languages`.

    Raises EngineRefusal `unknown_model` for an unknown name in the settings.
    """
    needed = list(models_needed(settings, choice, tuple(languages)))
    if choice.aligner == "whisperx":
        needed += [
            ModelNeeded("aligner", "whisperx", default, language, is_chosen=False)
            for language in languages
            if (default := default_aligner(language))
        ]
    return _unique(ModelRequest(one.name, source_of(one)) for one in needed)


def limitations(
    requests: Sequence[ModelRequest], settings: Settings, choice: EngineChoice, languages: Sequence[str]
) -> Iterator[str]:
    """Sentences about what these models cannot do."""
    for request in requests:
        if request.source.kind != "whisper":
            continue
        foreign = [language for language in languages if language != "en"]
        if ENGLISH_ONLY.search(request.name):
            if foreign:
                yield f"{request.name} knows English only, not {', '.join(foreign)}: take base, small or large-v3"
        elif any(kind in request.name for kind in WITHOUT_TRANSLATION):
            yield f"{request.name} transcribes, but cannot translate: for that take small, medium or large-v3"
    if choice.aligner is None and languages:
        yield "alignment is off (ALIGNMENT_BACKEND=none): no aligner is fetched"
    if choice.aligner != "whisperx":
        return
    for language in languages:
        if settings.alignment_model is not None:
            known = languages_of_aligner(settings.alignment_model)
            if known is not None and language not in known:
                yield f"the settings name the aligner {settings.alignment_model}, which does not know {language!r}"
        elif default_aligner(language) is None:
            yield f"WhisperX has no aligner for {language!r}: its words get no times of their own, only segments do"


def _unique(requests: Iterator[ModelRequest]) -> tuple[ModelRequest, ...]:
    return tuple({request.source: request for request in requests}.values())


def _unknown(name: str, unknown: EngineRefusal) -> EngineRefusal:
    """The same refusal, with a hint at what the name might mean."""
    if name.lower() in {*ALIGNMENT_BUNDLES, *ALIGNMENT_HUB_IDS}:
        return EngineRefusal(
            unknown.code, unknown.message, f"for a language: steno models pull --lang {name.lower()}"
        )
    for engine, names in HUB_IDS.items():
        if name in names:
            return EngineRefusal(unknown.code, unknown.message, f"{engine} knows it: add --engine {engine}")
    near = get_close_matches(name, {*HUB_IDS["mlx"], *HUB_IDS["whisperx"], *BUNDLE_FILES, "starter"}, n=3, cutoff=0.5)
    return EngineRefusal(unknown.code, unknown.message, f"did you mean {' or '.join(near)}?") if near else unknown
