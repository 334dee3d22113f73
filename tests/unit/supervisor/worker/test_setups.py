"""Settings and machine → what each worker is told."""

import os
from pathlib import Path

import pytest

from config.engines import resolve_engines
from config.places import find_places
from config.settings import Settings, WorkerSettings
from supervisor.worker.setups import Cores, WorkerSetups, cores_of_this_machine, usable_cores, worker_setups

MAC = Cores("darwin", usable=10, performance=8)


def setups(cores: Cores = MAC, **chosen: object) -> WorkerSetups:
    settings = Settings.model_validate(chosen)
    places = find_places({"STENO_HOME": "/x"}, "linux")
    choice = resolve_engines(settings, cores.platform)
    return worker_setups(settings, choice, places, cores=cores, log_json=True)


def threads_of(made: WorkerSetups) -> tuple[int, int | None, int | None]:
    """Of the transcriber, its stand-in and the aligner."""
    fallback, aligner = made.fallback, made.aligner
    return made.transcriber.threads, fallback and fallback.threads, aligner and aligner.threads


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


@pytest.mark.parametrize(
    ("cores", "chosen", "threads"),
    [
        # Apple silicon: transcriber on the GPU, the fast cores for the aligner; a stand-in has to share with it.
        (MAC, {}, (1, 6, 8)),
        (Cores("darwin", usable=8), {}, (1, 6, 8)),
        (MAC, {"alignment_backend": "none"}, (1, 8, None)),
        (MAC, {"whisper_backend": "whisperx"}, (6, None, 2)),
        # The processor alone: transcription takes longer, and gets more.
        *((Cores("linux", usable), {}, threads) for usable, threads in (
            (1, (1, None, 1)),
            (2, (2, None, 2)),
            (3, (2, None, 2)),
            (4, (3, None, 2)),
            (8, (6, None, 2)),
            (16, (11, None, 5)),
        )),
        (Cores("linux", 8), {"whisper_backend": "mlx"}, (6, 6, 2)),
        (Cores("linux", 8), {"alignment_backend": "none"}, (8, None, None)),
        # Told is told.
        (MAC, {"workers": WorkerSettings(threads=3)}, (3, 3, 3)),
    ],
)  # fmt: skip
def test_the_workers_share_the_machine_unless_told_otherwise(
    cores: Cores, chosen: dict[str, object], threads: tuple[int, int | None, int | None]
) -> None:
    assert threads_of(setups(cores, **chosen)) == threads


@pytest.mark.parametrize(
    ("allowed", "physical", "quota", "usable"),
    [
        (8, 4, "max 100000", 4),
        (2, 8, "", 2),
        (16, None, "250000 100000", 2),
        (16, 8, "50000 100000", 1),
        (4, 4, "-1 100000", 4),
        (4, 4, "nobody knows", 4),
    ],
)
def test_no_more_cores_are_used_than_the_system_lets_us_have(
    allowed: int, physical: int | None, quota: str, usable: int
) -> None:
    assert usable_cores("linux", allowed=allowed, physical=physical, quota=quota).usable == usable


def test_this_machine_has_a_core_for_us() -> None:
    assert 1 <= cores_of_this_machine().usable <= (os.cpu_count() or 1)


def test_models_are_kept_under_the_home_that_was_asked_for() -> None:
    assert Path(setups().transcriber.models_folder) == Path("/x/models")
