"""Settings and machine → what each worker is told."""

from pathlib import Path

from config.engines import resolve_engines
from config.places import find_places
from config.settings import Settings, WorkerSettings
from supervisor.worker_setups import WorkerSetups, worker_setups


def setups(cores: int = 8, **chosen: object) -> WorkerSetups:
    settings = Settings.model_validate(chosen)
    places = find_places({"STENO_HOME": "/x"}, "linux")
    return worker_setups(settings, resolve_engines(settings, "darwin", "arm64"), places, cores=cores, log_json=True)


def test_the_starter_is_the_starter_for_the_fallback_too() -> None:
    made = setups(model="starter")
    assert made.fallback is not None
    assert (made.transcriber.engine, made.fallback.engine, made.fallback.model) == ("mlx", "whisperx", "starter")


def test_another_model_belongs_to_the_engine_it_was_chosen_for() -> None:
    made = setups(model="large-v3")
    assert made.fallback is not None
    assert made.fallback.model is None


def test_the_mlx_aligner_listens_with_the_transcribers_model_and_whisperx_does_not() -> None:
    own, other = setups(model="small", alignment_backend="mlx"), setups(model="small")
    assert own.aligner is not None and other.aligner is not None
    assert (own.aligner.model, other.aligner.model) == ("small", None)


def test_no_aligner_is_made_where_none_is_wanted() -> None:
    assert setups(alignment_backend="none").aligner is None


def test_the_workers_share_the_cores_unless_told_otherwise() -> None:
    assert setups(cores=8).transcriber.threads == 4
    assert setups(cores=1).transcriber.threads == 1
    assert setups(workers=WorkerSettings(threads=3)).transcriber.threads == 3


def test_models_are_kept_under_the_home_that_was_asked_for() -> None:
    assert Path(setups().transcriber.models_folder) == Path("/x/models")
