"""A worker's memory: given back when it idles or is told to, and taken from one that grew.

Runs in: the test process; each worker is a real child with a fake engine in the real shell.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually_async
from running_worker import BRIEF, ask, kept, request_for, setup_for

from config.settings import Settings
from ipc.status_views import WorkerView
from ipc.worker_messages import WordsAligned
from supervisor.system.reload import LiveSettings

pytestmark = pytest.mark.usefixtures("nothing_left")


def with_workers(**fields: Any) -> Settings:
    """The brief settings with these of the section workers."""
    return BRIEF.model_copy(update={"workers": BRIEF.workers.model_copy(update=fields)})


async def test_with_keep_alive_0_a_worker_lives_from_its_first_request_to_the_end_of_the_job(
    three_chunks: Path, tmp_path: Path
) -> None:
    views: list[WorkerView] = []
    settings = with_workers(aligner_keep_alive=0.0)
    request = request_for("aligner", three_chunks)
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, settings, views) as keeper:
        await keeper.wait_until_available()
        assert (keeper.view.state, keeper.view.pid) == ("unloaded", None)
        with keeper.in_hand(Path("no.s16")):
            assert isinstance((await ask(keeper, request))[-1], WordsAligned)
            pid = keeper.view.pid
            # Longer than it may linger: between two batches of one job it stays.
            await asyncio.sleep(0.7)
            await ask(keeper, request)
            assert (keeper.view.state, keeper.view.pid) == ("ready", pid)
        await ask(keeper, request, during_job=8)
        assert keeper.view.pid == pid, "the next in line finds it warm"
        await eventually_async(lambda: keeper.view.state == "unloaded" and keeper.view.pid is None)
        assert isinstance((await ask(keeper, request))[-1], WordsAligned)
        assert (keeper.view.restarts, keeper.view.last_death, keeper.view.note) == (0, None, None)
    assert [view.state for view in views][:4] == ["unloaded", "starting", "ready", "busy"]


async def test_each_role_has_its_own_keep_alive(tmp_path: Path) -> None:
    settings = with_workers(keep_alive=0.1, transcriber_keep_alive=-1.0)
    async with (
        kept([setup_for("transcriber", "Echo", tmp_path)], tmp_path, settings) as transcriber,
        kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, settings) as aligner,
    ):
        await eventually_async(lambda: transcriber.view.state == "ready" and aligner.view.state == "unloaded")


async def test_new_settings_end_a_worker_that_idles_already(tmp_path: Path) -> None:
    live = LiveSettings(Settings())
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, live) as keeper:
        await keeper.wait_until_available()
        live.current = with_workers(keep_alive=0.2)
        keeper.settings_changed()
        await eventually_async(lambda: keeper.view.state == "unloaded")


async def test_unload_ends_an_idle_worker_now_and_a_busy_one_after_its_request(
    three_chunks: Path, tmp_path: Path
) -> None:
    request = request_for("aligner", three_chunks)
    async with kept([setup_for("aligner", "Echo", tmp_path, model="pace=0.1")], tmp_path) as keeper:
        await keeper.wait_until_available()
        await keeper.unload()
        await eventually_async(lambda: keeper.view.state == "unloaded" and keeper.view.pid is None)
        asking = asyncio.create_task(ask(keeper, request))
        await eventually_async(lambda: keeper.view.state == "busy")
        await keeper.unload()
        assert isinstance((await asking)[-1], WordsAligned)
        await eventually_async(lambda: keeper.view.state == "unloaded" and keeper.view.pid is None)
        assert (keeper.view.restarts, keeper.view.last_death) == (0, None)


async def test_a_worker_that_grew_is_replaced_between_jobs_and_says_why(three_chunks: Path, tmp_path: Path) -> None:
    setup = setup_for("aligner", "Echo", tmp_path).model_copy(
        update={"engine_path": "engines_with_models:GrowingAligner"}
    )
    request = request_for("aligner", three_chunks)
    async with kept([setup], tmp_path, with_workers(memory_limit_mb=200)) as keeper:
        await keeper.wait_until_available()
        first = keeper.view.pid
        assert 0 < (keeper.view.footprint_bytes or 0) < 200_000_000, "measured when it was ready"
        with keeper.in_hand(Path("no.s16")):
            await ask(keeper, request, during_job=7)
            await eventually_async(lambda: (keeper.view.footprint_bytes or 0) > 200_000_000)
            await ask(keeper, request, during_job=7)
            assert keeper.view.pid == first, "not in the middle of a job"
            await ask(keeper, request, during_job=8)
            second = keeper.view.pid
            assert second != first
        # Now nobody holds on to it: it does not wait for the next job.
        await eventually_async(lambda: keeper.view.state == "ready" and keeper.view.pid not in (first, second))
        assert (keeper.view.restarts, keeper.view.last_death) == (0, None)
        assert (keeper.view.note or "").startswith("replaced: it had grown from ")
        assert (keeper.view.note or "").endswith("the limit is 200 MB")
