"""Settings → what each worker is told at birth: pure.

Runs in: supervisor.
"""

from dataclasses import dataclass

from config.engines import EngineChoice
from config.places import Places
from config.required_models import alignment_model, fallback_model
from config.settings import Settings
from ipc.worker_messages import WorkerSetup
from supervisor.worker.cores import Cores, share


@dataclass(frozen=True, slots=True)
class WorkerSetups:
    """The primary engine of each role, and the engine that may stand in for the transcriber."""

    transcriber: WorkerSetup
    fallback: WorkerSetup | None
    aligner: WorkerSetup | None


def worker_setups(
    settings: Settings, choice: EngineChoice, places: Places, *, cores: Cores, log_json: bool, log_quiet: bool = False
) -> WorkerSetups:
    """The workers share the cores as suits their engines, unless `workers.threads` says otherwise."""
    told, has_aligner = settings.workers.threads, choice.aligner is not None
    shares = share(cores, choice.transcriber, has_aligner=has_aligner)
    transcriber = WorkerSetup(
        role="transcriber",
        engine=choice.transcriber,
        engine_path=choice.transcriber_path,
        model=settings.model,
        language=settings.language,
        threads=told or shares.transcriber,
        batch_size=settings.workers.batch_size,
        models_folder=str(places.models),
        allow_download=settings.allow_download,
        # A little later than the supervisor's own deadline: whoever still can, speaks first.
        stuck_after_seconds=settings.deadlines.progress_seconds * 1.25,
        stuck_loading_after_seconds=settings.deadlines.boot_seconds * 1.25,
        log_level=settings.logs.level,
        log_json=log_json,
        log_file=str(places.log_file),
        log_quiet=log_quiet,
    )
    fallback = None
    if choice.fallback is not None and choice.fallback_path is not None:
        stand_in = share(cores, choice.fallback, has_aligner=has_aligner)
        fallback = transcriber.model_copy(
            update={
                "engine": choice.fallback,
                "engine_path": choice.fallback_path,
                "model": fallback_model(settings),
                "threads": told or stand_in.transcriber,
            }
        )
    aligner = None
    if choice.aligner is not None and choice.aligner_path is not None:
        model = alignment_model(settings, choice.aligner)
        aligner = transcriber.model_copy(
            update={
                "role": "aligner",
                "engine": choice.aligner,
                "engine_path": choice.aligner_path,
                "model": model,
                "batch_size": 0,
                "threads": told or shares.aligner,
            }
        )
    return WorkerSetups(transcriber, fallback, aligner)
