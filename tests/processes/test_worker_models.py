"""One worker, several models: which is in it, which is missing, and when it is looked for again.

Runs in: the test process; each worker is a real child with a fake engine in the real shell.
"""

from pathlib import Path

import pytest
from eventually import eventually_async
from running_worker import BRIEF, ask, kept, request_for, setup_for

from ipc.status_views import WorkerView
from ipc.worker_messages import TranscriptionFinished, WorkerSetup
from supervisor.worker import availability as worker_offer
from supervisor.worker import circuit_breaker as engine_tallies
from supervisor.worker import circuit_breaker as engine_tally
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.handle import WorkerHandle

pytestmark = pytest.mark.usefixtures("nothing_left")


def setup_with(folder: Path, *names: str, model: str | None = None) -> WorkerSetup:
    """A transcriber whose models are those files."""
    for name in names:
        (folder / name).touch()
    setup = setup_for("transcriber", "Echo", folder, model=model, name="mlx")
    return setup.model_copy(update={"engine_path": "engines_with_models:ModelTranscriber"})


async def refused(keeper: WorkerHandle, pcm: Path, model: str | None) -> WorkerUnavailable:
    with pytest.raises(WorkerUnavailable) as why:
        await ask(keeper, request_for("transcriber", pcm), model=model)
    return why.value


async def test_a_model_takes_the_worker_over_and_stays_until_another_is_wanted(
    three_chunks: Path, tmp_path: Path
) -> None:
    views: list[WorkerView] = []
    request = request_for("transcriber", three_chunks)
    async with kept([setup_with(tmp_path, "small", "large", model="large")], tmp_path, views=views) as keeper:
        used = []
        for model in (None, "small", "small", "large", None):
            assert isinstance((await ask(keeper, request, model=model))[-1], TranscriptionFinished)
            used.append((keeper.view.model, keeper.view.pid))
        assert [model for model, _ in used] == ["large", "small", "small", "large", "large"]
        assert len({pid for _, pid in used}) == 3
        assert (keeper.view.restarts, keeper.view.last_death) == (0, None)
    assert not [view for view in views if view.state == "broken"]


async def test_a_jobs_own_missing_model_breaks_nothing_and_the_worker_goes_back_to_the_settings(
    three_chunks: Path, tmp_path: Path
) -> None:
    views: list[WorkerView] = []
    async with kept([setup_with(tmp_path)], tmp_path, views=views) as keeper:
        await keeper.wait_until_available()
        assert (await refused(keeper, three_chunks, "small")).code == "needs_model"
        assert keeper.availability.lacks_model
        assert list(keeper.availability.unavailable_because()) == ["small"]
        await keeper.wait_until_available()
        pid = keeper.view.pid
        assert (await refused(keeper, three_chunks, "small")).code == "needs_model"
        assert (keeper.view.model, keeper.view.state, keeper.view.pid) == ("fake", "ready", pid), "not tried again"
        assert isinstance((await ask(keeper, request_for("transcriber", three_chunks)))[-1], TranscriptionFinished)
        assert keeper.view.restarts == 0
    assert not [view for view in views if view.state == "broken"]


async def test_what_changes_on_the_disk_is_a_reason_to_try_a_missing_model_again(
    three_chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_offer, "MODEL_LOOK_SECONDS", 0.0)
    models = tmp_path / "models"
    models.mkdir()
    told: list[WorkerView] = []
    async with kept([setup_with(models)], tmp_path, views=told, model_folders=[models]) as keeper:
        assert (await refused(keeper, three_chunks, "small")).code == "needs_model"
        await keeper.wait_until_available()
        keeper.availability.recheck()
        (models / "small").touch()

        def is_offered() -> bool:
            keeper.availability.recheck()
            return not keeper.availability.unavailable_because()

        before = len(told)
        await eventually_async(is_offered)
        assert len(told) > before, "whoever waits is woken"
        request = request_for("transcriber", three_chunks)
        assert isinstance((await ask(keeper, request, model="small"))[-1], TranscriptionFinished)


async def test_the_settings_own_missing_model_is_tried_for_whoever_waits_long_before_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_tally, "MODEL_LOOK_SECONDS", 0.1)
    async with kept([setup_with(tmp_path, model="small")], tmp_path) as keeper:
        await eventually_async(lambda: keeper.view.state == "broken")
        assert keeper.view.note == "needs model small: run `steno models pull small`"
        assert list(keeper.availability.unavailable_because()) == ["small", None]
        (tmp_path / "small").touch()

        def is_ready() -> bool:
            keeper.availability.recheck()
            return keeper.view.state == "ready"

        await eventually_async(is_ready)
        assert (keeper.view.restarts, keeper.refusal()) == (0, None)


async def test_a_job_with_a_model_of_its_own_is_served_while_that_of_the_settings_is_missing(
    three_chunks: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    async with kept([setup_with(models, "small", model="large")], tmp_path, model_folders=[models]) as keeper:
        await eventually_async(lambda: keeper.view.state == "broken")
        request = request_for("transcriber", three_chunks)
        assert isinstance((await ask(keeper, request, model="small"))[-1], TranscriptionFinished)
        assert (keeper.view.model, keeper.view.state) == ("small", "ready")
        assert (await refused(keeper, three_chunks, None)).code == "needs_model"
        assert keeper.view.model == "small", "not given up for what is missing"
        (models / "large").touch()
        keeper.availability.recheck()
        await eventually_async(lambda: not keeper.availability.unavailable_because())
        assert isinstance((await ask(keeper, request))[-1], TranscriptionFinished)
        assert keeper.view.model == "large"


async def test_restart_makes_it_look_at_once(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_with(tmp_path)], tmp_path) as keeper:
        assert (await refused(keeper, three_chunks, "small")).code == "needs_model"
        (tmp_path / "small").touch()
        await keeper.restart()
        assert not keeper.availability.unavailable_because()
        request = request_for("transcriber", three_chunks)
        assert isinstance((await ask(keeper, request, model="small"))[-1], TranscriptionFinished)


async def test_the_stand_in_loads_a_jobs_model_only_if_every_engine_has_it(
    three_chunks: Path, tmp_path: Path
) -> None:
    setups = [setup_with(tmp_path), setup_for("transcriber", "Echo", tmp_path, name="whisperx")]
    request = request_for("transcriber", three_chunks)
    async with kept(setups, tmp_path) as keeper:
        for model, loaded in (("large", "fake"), ("starter", "starter")):
            await ask(keeper, request, engine="whisperx", model=model)
            assert (keeper.view.engine, keeper.view.model) == ("whisperx", loaded)


async def test_a_model_that_crashes_while_it_loads_leaves_the_settings_own_in_its_place(
    three_chunks: Path, tmp_path: Path
) -> None:
    setup = setup_with(tmp_path).model_copy(update={"engine_path": "engines_with_models:FussyTranscriber"})
    settings = BRIEF.model_copy(update={"restarts": BRIEF.restarts.model_copy(update={"deaths_allowed": 1})})
    async with kept([setup], tmp_path, settings) as keeper:
        assert (await refused(keeper, three_chunks, "deadly")).code == "broken"
        assert (keeper.is_worn_out("deadly"), keeper.is_worn_out()) == (True, False)
        assert isinstance((await ask(keeper, request_for("transcriber", three_chunks)))[-1], TranscriptionFinished)


async def test_only_so_many_models_are_remembered(
    three_chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_tallies, "MOST_OVERRIDES", 2)
    async with kept([setup_with(tmp_path)], tmp_path) as keeper:
        for model in ("one", "two", "three"):
            assert (await refused(keeper, three_chunks, model)).code == "needs_model"
        assert list(keeper.availability.unavailable_because()) == ["two", "three"]
