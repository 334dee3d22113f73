"""Which engine fills which role, and which models they load, from the settings and the machine: pure.

Runs in: every process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from config.model_names import DEFAULT_MODEL, ModelEngine, default_aligner
from config.settings import Settings

TRANSCRIBERS = {
    "mlx": "workers.mlx.transcriber:MlxTranscriber",
    "whisperx": "workers.whisperx.transcriber:WhisperxTranscriber",
}
"""Engine → the import path its worker is started with."""
ALIGNERS = {
    "mlx": "workers.mlx.aligner:MlxAligner",
    "whisperx": "workers.whisperx.aligner:WhisperxAligner",
}
FALLBACK = "whisperx"
"""It runs on every machine and shares no native code with MLX."""

ModelUse = Literal["transcriber", "fallback", "aligner"]
"""What a model is loaded for. The fallback takes the transcriber's place."""
FIRST_LANGUAGE = "en"
"""Whose aligner is kept warm while no language is set."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Names for people, import paths for workers. An engine of the owner's own goes by its path in both."""

    transcriber: str
    transcriber_path: str
    aligner: str | None
    """None: alignment is off."""
    aligner_path: str | None
    fallback: str | None
    """None: a transcriber that keeps dying is not replaced."""
    fallback_path: str | None


def resolve_engines(settings: Settings, platform: str) -> EngineChoice:
    """What `auto`, `hybrid` and `same` mean here; `platform` is sys.platform. A Mac has Apple silicon: stenod's
    packages have no Intel builds."""
    transcriber = _transcriber(settings.whisper_backend, platform)
    aligner = _aligner(settings.alignment_backend, transcriber)
    fallback = FALLBACK if settings.workers.fallback and transcriber != FALLBACK else None
    return EngineChoice(
        transcriber=transcriber,
        transcriber_path=TRANSCRIBERS.get(transcriber, transcriber),
        aligner=aligner,
        aligner_path=None if aligner is None else ALIGNERS.get(aligner, aligner),
        fallback=fallback,
        fallback_path=None if fallback is None else TRANSCRIBERS[fallback],
    )


def _transcriber(backend: str, platform: str) -> str:
    match backend:
        case "auto":
            return "mlx" if platform == "darwin" else "whisperx"
        case "hybrid":
            # The other half of hybrid, whisperx aligning, is ALIGNMENT_BACKEND's default; another choice is honoured.
            return "mlx"
        case engine:
            return engine


def _aligner(backend: str, transcriber: str) -> str | None:
    match backend:
        case "none":
            return None
        case "same":
            # A transcriber of the owner's own has no aligner of the same name.
            return transcriber if transcriber in ALIGNERS else "whisperx"
        case engine:
            return engine


@dataclass(frozen=True, slots=True)
class ModelNeeded:
    """One model for one use, by its name in the settings or the default."""

    use: ModelUse
    engine: ModelEngine
    name: str
    language: str | None = None
    """Of an aligner that is there for one language."""
    is_chosen: bool = True
    """False: it is a default."""


def models_needed(
    settings: Settings, choice: EngineChoice, languages: tuple[str, ...] = ()
) -> tuple[ModelNeeded, ...]:
    """Transcriber first, each model once. `languages` replaces those of the settings and the watched folders.

    An engine of the owner's own is left out: which models it needs is its own affair.
    """
    found = (*_transcribers(settings, choice), *_aligners(settings, choice, languages or spoken_languages(settings)))
    return tuple(dict.fromkeys(found))


def spoken_languages(settings: Settings) -> tuple[str, ...]:
    """What the settings and the watched folders expect to hear; English where they do not say."""
    told = (settings.language, *(entry.language for entry in settings.watch))
    return tuple(dict.fromkeys(language for language in told if language)) or (FIRST_LANGUAGE,)


def fallback_model(settings: Settings) -> str | None:
    """What the fallback engine is told to load; None: its default."""
    return model_of_stand_in(settings.fallback_model, settings.model)


def model_of_stand_in(own: str | None, wanted: str | None) -> str | None:
    """What the fallback engine loads where `wanted` was meant for the primary; None: its default.

    `starter` exists for every engine; any other name belongs to the engine it was chosen for.
    """
    return own or ("starter" if wanted == "starter" else None)


def alignment_model(settings: Settings, aligner: str) -> str | None:
    """What the aligner is told to load; None: its default, which for whisperx depends on the language."""
    # The mlx aligner listens with the transcriber's own kind of model; whisperx has one for each language.
    return settings.alignment_model or (settings.model if aligner == "mlx" else None)


def _transcribers(settings: Settings, choice: EngineChoice) -> Iterator[ModelNeeded]:
    if engine := _known(choice.transcriber):
        yield _one("transcriber", engine, settings.model)
        for entry in settings.watch:
            if entry.model is not None:
                yield ModelNeeded("transcriber", engine, entry.model)
    if choice.fallback is not None and (engine := _known(choice.fallback)):
        yield _one("fallback", engine, fallback_model(settings))


def _aligners(settings: Settings, choice: EngineChoice, languages: tuple[str, ...]) -> Iterator[ModelNeeded]:
    if choice.aligner is None or (engine := _known(choice.aligner)) is None:
        return
    name = alignment_model(settings, engine)
    if name is not None or engine == "mlx":
        yield _one("aligner", engine, name)
        return
    for language in languages:
        if default := default_aligner(language):
            yield ModelNeeded("aligner", engine, default, language, is_chosen=False)


def _one(use: ModelUse, engine: ModelEngine, name: str | None) -> ModelNeeded:
    return ModelNeeded(use, engine, name or DEFAULT_MODEL[engine], is_chosen=name is not None)


def _known(engine: str) -> ModelEngine | None:
    return next((known for known in get_args(ModelEngine) if known == engine), None)
