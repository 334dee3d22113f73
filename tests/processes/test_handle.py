"""Lending a worker: turns, engines, cancels, replacements, and the ways it can be unavailable.

Runs in: the test process; each worker is a real child with a fake engine in the real shell.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from eventually import eventually_async
from no_leftovers import open_descriptors
from running_worker import BRIEF, ROLES, ask, kept, request_for, setup_for

from config.settings import Settings
from ipc.status_views import WorkerView
from ipc.worker_messages import (
    LanguageFound,
    Progress,
    RequestFailed,
    SegmentsTranscribed,
    Transcribe,
    TranscriptionFinished,
    WordsAligned,
)
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.handle import WorkerDied, WorkerHandle
from workers.worker_main import NICENESS

pytestmark = pytest.mark.usefixtures("nothing_left")


def brief(**sections: dict[str, Any]) -> Settings:
    """The brief settings with some fields of some sections changed."""
    return BRIEF.model_copy(
        update={name: getattr(BRIEF, name).model_copy(update=fields) for name, fields in sections.items()}
    )


async def pid_of(keeper: WorkerHandle) -> int:
    await keeper.wait_until_available()
    assert keeper.view.pid is not None
    return keeper.view.pid


async def test_a_transcription_streams_its_segments_and_ends(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("transcriber", "Echo", tmp_path)], tmp_path) as keeper:
        request = Transcribe(request_id=0, pcm_path=str(three_chunks), first_segment_id=5)
        replies = await ask(keeper, request)
        assert [reply.language for reply in replies if isinstance(reply, LanguageFound)] == ["en"]
        batches = [reply for reply in replies if isinstance(reply, SegmentsTranscribed)]
        assert [segment.id for batch in batches for segment in batch.segments] == [5, 6, 7]
        assert [batch.done_seconds for batch in batches] == [0.5, 1.0, 1.5]
        assert isinstance(replies[0], Progress) and replies[0].phase == "speech"
        assert replies[-1] == TranscriptionFinished(request_id=1, speech_seconds=1.5)
        assert keeper.view.footprint_bytes
        resumed = await ask(keeper, request.model_copy(update={"start_at_seconds": 1.0, "language": "en"}))
        again = [reply for reply in resumed if isinstance(reply, SegmentsTranscribed)]
        assert [segment.text for segment in again[0].segments] == [segment.text for segment in batches[2].segments]


async def test_a_segment_whose_engine_raises_costs_only_its_own_words(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "Raising", tmp_path)], tmp_path) as keeper:
        final = (await ask(keeper, request_for("aligner", three_chunks)))[-1]
        assert isinstance(final, WordsAligned)
        assert sorted(final.words) == [0, 2]


async def test_words_without_finite_times_cost_their_segment_its_words_and_no_worker(
    three_chunks: Path, tmp_path: Path
) -> None:
    async with kept([setup_for("aligner", "Nan", tmp_path)], tmp_path) as keeper:
        answer = (await ask(keeper, request_for("aligner", three_chunks)))[-1]
        assert isinstance(answer, WordsAligned)
        assert answer.words == {}
        assert keeper.view.restarts == 0


async def test_an_exception_in_an_engine_fails_the_request_and_keeps_the_worker(
    three_chunks: Path, tmp_path: Path
) -> None:
    async with kept([setup_for("transcriber", "Raising", tmp_path)], tmp_path) as keeper:
        pid = await pid_of(keeper)
        final = (await ask(keeper, request_for("transcriber", three_chunks)))[-1]
        assert isinstance(final, RequestFailed)
        assert (final.code, keeper.view.pid) == ("engine_error", pid)
        assert "the library is unhappy" in final.message


async def test_a_refusal_carries_its_code_and_hint(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("transcriber", "Echo", tmp_path)], tmp_path) as keeper:
        request = Transcribe(request_id=0, pcm_path=str(three_chunks), language="de", task="translate")
        final = (await ask(keeper, request))[-1]
        assert isinstance(final, RequestFailed)
        assert (final.code, final.hint) == ("cannot_translate", "leave out --task translate")


async def test_requests_are_served_one_by_one_in_the_order_asked(three_chunks: Path, tmp_path: Path) -> None:
    served: list[int] = []

    async def served_as(number: int) -> None:
        await ask(keeper, request_for("aligner", three_chunks))
        served.append(number)

    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path) as keeper:
        await asyncio.gather(*(served_as(number) for number in range(5)))
    assert served == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("role", ROLES)
async def test_leaving_early_cancels_and_keeps_the_worker(role: Any, three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for(role, "Echo", tmp_path, model="pace=0.1")], tmp_path) as keeper:
        pid = await pid_of(keeper)
        async with keeper.request(request_for(role, three_chunks), deadline_seconds=9.0) as replies:
            await anext(replies)
        assert (keeper.view.state, keeper.view.pid, keeper.view.restarts) == ("ready", pid, 0)
        await ask(keeper, request_for(role, three_chunks))


async def test_a_worker_that_does_not_hear_a_cancel_is_replaced_and_not_blamed(
    three_chunks: Path, tmp_path: Path
) -> None:
    hangs = tmp_path / "hangs"
    async with kept([setup_for("aligner", "HangHoldingGil", tmp_path, model=f"mark={hangs}")], tmp_path) as keeper:
        pid = await pid_of(keeper)
        asking = asyncio.create_task(ask(keeper, request_for("aligner", three_chunks)))
        # A busy worker may still hear a cancel before its first segment; one that hangs does not.
        await eventually_async(hangs.exists)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await pid_of(keeper) != pid
        assert keeper.view.restarts == 0
        assert keeper.view.last_death is None


async def test_a_slow_asker_is_not_held_against_the_worker(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("transcriber", "Echo", tmp_path)], tmp_path) as keeper:
        kinds = []
        async with keeper.request(request_for("transcriber", three_chunks), deadline_seconds=0.8) as replies:
            async for reply in replies:
                await asyncio.sleep(0.2)
                kinds.append(reply.kind)
        assert kinds[-1] == "transcription_finished"


async def test_the_whole_deadline_ends_a_worker_that_moves_but_never_arrives(
    three_chunks: Path, tmp_path: Path
) -> None:
    async with kept([setup_for("transcriber", "Echo", tmp_path, model="pace=0.3")], tmp_path) as keeper:
        with pytest.raises(WorkerDied) as died:
            async with keeper.request(request_for("transcriber", three_chunks), deadline_seconds=0.5) as replies:
                async for _ in replies:
                    pass
        assert died.value.death.cause == "timeout"
        assert died.value.death.reason == "not done after 0.5 s while transcribing"


async def test_a_missing_model_is_said_at_once_and_not_tried_over_and_over(tmp_path: Path) -> None:
    views: list[WorkerView] = []
    async with kept([setup_for("aligner", "NeedsModel", tmp_path)], tmp_path, views=views) as keeper:
        with pytest.raises(WorkerUnavailable) as refused:
            await ask(keeper, request_for("aligner", tmp_path))
        assert refused.value.code == "needs_model"
        assert keeper.view.note == "needs model small: run steno models pull small"
        assert (keeper.view.state, keeper.view.restarts, keeper.view.last_death) == ("broken", 0, None)
    assert [view.state for view in views] == ["starting", "broken", "stopped"]


async def test_a_broken_worker_is_probed_and_comes_back_when_the_cause_is_gone(
    three_chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = tmp_path / "crashes-left"
    crashes.write_text("2")
    monkeypatch.setenv("FAKE_CRASHES", str(crashes))
    settings = brief(restarts={"deaths_allowed": 1, "probe_seconds": 0.2})
    async with kept([setup_for("aligner", "CrashTimes", tmp_path)], tmp_path, settings) as keeper:
        for _ in range(2):
            with pytest.raises(WorkerDied):
                await ask(keeper, request_for("aligner", three_chunks))
        assert keeper.is_worn_out()
        with pytest.raises(WorkerUnavailable):
            await ask(keeper, request_for("aligner", three_chunks))
        await keeper.wait_until_available()
        assert isinstance((await ask(keeper, request_for("aligner", three_chunks)))[-1], WordsAligned)


async def test_restart_forgets_the_deaths(tmp_path: Path) -> None:
    settings = brief(restarts={"deaths_allowed": 1})
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, settings) as keeper:
        for _ in range(2):
            os.kill(await pid_of(keeper), signal.SIGSEGV)
            await eventually_async(lambda: keeper.view.state != "ready")
        assert keeper.view.state == "broken"
        assert keeper.view.last_death is not None
        assert keeper.view.last_death.during_job is None
        assert keeper.view.last_death.reason == "segmentation fault (SIGSEGV)"
        await keeper.restart()
        await keeper.wait_until_available()
        assert (keeper.view.state, keeper.refusal()) == ("ready", None)


async def test_a_busy_worker_is_restarted_after_its_request(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "Echo", tmp_path, model="pace=0.1")], tmp_path) as keeper:
        pid = await pid_of(keeper)
        asking = asyncio.create_task(ask(keeper, request_for("aligner", three_chunks)))
        await eventually_async(lambda: keeper.view.state == "busy")
        await keeper.restart()
        assert isinstance((await asking)[-1], WordsAligned)
        assert await pid_of(keeper) != pid


@pytest.mark.parametrize(("fails", "code"), [("SegfaultOnLoad", "broken"), ("NoMetal", "no_metal")])
async def test_the_fallback_takes_the_worker_over_and_stays_until_the_primary_is_asked_for(
    fails: str, code: str, three_chunks: Path, tmp_path: Path
) -> None:
    setups = [
        setup_for("transcriber", fails, tmp_path, name="mlx"),
        setup_for("transcriber", "Echo", tmp_path, name="whisperx"),
    ]
    settings = brief(restarts={"deaths_allowed": 1, "probe_seconds": 0.3})
    request = request_for("transcriber", three_chunks)
    async with kept(setups, tmp_path, settings) as keeper:
        with pytest.raises(WorkerUnavailable) as refused:
            await ask(keeper, request)
        assert (refused.value.code, keeper.view.refusal) == (code, code)
        assert (keeper.is_worn_out(), keeper.refusal("whisperx")) == (True, None)
        assert isinstance((await ask(keeper, request, engine="whisperx"))[-1], TranscriptionFinished)
        assert (keeper.view.engine, keeper.view.state) == ("whisperx", "ready")
        await eventually_async(lambda: keeper.refusal() is None, what="the primary may be tried again")
        assert keeper.view.engine == "whisperx"
        with pytest.raises(WorkerUnavailable):
            await ask(keeper, request)
        assert isinstance((await ask(keeper, request, engine="whisperx"))[-1], TranscriptionFinished)


async def test_an_idle_worker_is_unloaded_and_the_next_request_brings_it_back(
    three_chunks: Path, tmp_path: Path
) -> None:
    settings = brief(workers={"keep_alive": 0.2})
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, settings) as keeper:
        await eventually_async(lambda: keeper.view.state == "unloaded" and keeper.view.pid is None)
        assert isinstance((await ask(keeper, request_for("aligner", three_chunks)))[-1], WordsAligned)


async def test_a_worker_too_large_is_replaced_between_requests(three_chunks: Path, tmp_path: Path) -> None:
    settings = brief(workers={"memory_limit_mb": 1})
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, settings) as keeper:
        pid = await pid_of(keeper)
        assert isinstance((await ask(keeper, request_for("aligner", three_chunks)))[-1], WordsAligned)
        await eventually_async(lambda: keeper.view.pid not in (None, pid))
        assert keeper.view.restarts == 0


async def test_a_download_extends_the_boot_deadline(tmp_path: Path) -> None:
    settings = brief(deadlines={"boot_seconds": 5.0})
    async with kept(
        [setup_for("transcriber", "Downloading", tmp_path, model="load=7")], tmp_path, settings
    ) as keeper:
        await keeper.wait_until_available()
        assert keeper.view.restarts == 0


@pytest.mark.parametrize("fake", ["HangForever", "HangHoldingGil", "IgnoresSigterm", "StopsItself"])
async def test_stop_ends_a_busy_worker_whatever_it_does(fake: str, three_chunks: Path, tmp_path: Path) -> None:
    misbehaves = tmp_path / "misbehaves"
    async with kept([setup_for("aligner", fake, tmp_path, model=f"mark={misbehaves}")], tmp_path) as keeper:
        asking = asyncio.create_task(ask(keeper, request_for("aligner", three_chunks)))
        await eventually_async(misbehaves.exists)
        async with asyncio.timeout(BRIEF.deadlines.stop_seconds + 2.0):
            await keeper.stop()
        with pytest.raises(WorkerUnavailable) as refused:
            await asking
        assert refused.value.code == "stopping"
        assert (keeper.view.state, keeper.view.pid) == ("stopped", None)


async def test_a_cancelled_keeper_takes_its_worker_along(tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path) as keeper:
        await keeper.wait_until_available()
        for task in asyncio.all_tasks():
            if task.get_coro().__qualname__ == "WorkerHandle.run":  # type: ignore[union-attr]  # a task of a coroutine
                task.cancel()
        await eventually_async(lambda: keeper.view.state == "stopped")


@pytest.mark.timeout(240)
async def test_a_row_of_restarts_leaks_no_descriptor(tmp_path: Path) -> None:
    settings = brief(restarts={"deaths_allowed": 1000, "longest_delay_seconds": 0.01})
    async with kept([setup_for("aligner", "SegfaultOnLoad", tmp_path)], tmp_path, settings) as keeper:
        await eventually_async(lambda: keeper.view.restarts >= 2, 30.0)
        before = open_descriptors()
        await eventually_async(lambda: keeper.view.restarts >= 14, 120.0)
        # A worker that is just being born or dying holds a few, and there is always one.
        await eventually_async(lambda: open_descriptors() <= before + 5, 30.0)


async def test_how_long_the_engine_took_to_load_is_known_while_it_is_there(tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path) as keeper:
        assert keeper.view.load_seconds is None
        await keeper.wait_until_available()
        loaded_seconds = keeper.view.load_seconds
        assert loaded_seconds is not None and loaded_seconds > 0
        await keeper.unload()
        assert keeper.view.load_seconds is None


async def test_a_worker_lets_the_supervisor_and_the_owners_programs_go_first(tmp_path: Path) -> None:
    async with kept([setup_for("transcriber", "Echo", tmp_path)], tmp_path) as keeper:
        assert psutil.Process(await pid_of(keeper)).nice() == min(os.nice(0) + NICENESS, 19)
