"""Which engine fills which role, from the settings and the machine: pure.

Runs in: every process.
"""

from dataclasses import dataclass

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
