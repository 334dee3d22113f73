"""Whose turn it is, how jobs end, and that neither a cancel nor a full disk takes the daemon with it.

Runs in: the test process.
"""

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from asked_queue import add_from_watch
from eventually import eventually_async
from running_dispatcher import Desk, at_work

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.events import JobChanged
from supervisor.api.app import create_app
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.outcomes import JobFailed, JobMustWait
from supervisor.store.job import Job, MoveNotAllowed
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite import transactions as job_database
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.worker.circuit_breaker import WorkerUnavailable


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr("supervisor.jobs.dispatcher.LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr("supervisor.jobs.upgrades.LOOK_AGAIN_SECONDS", 0.02)
    queue = await JobQueue.open(tmp_path / "queue.db", QueueSettings())
    yield Desk(queue, tmp_path)
    await queue.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`full_disk.now = True`: the database cannot grow."""
    switch = SimpleNamespace(now=False)
    real = job_database._transaction

    def transaction(connection: Any, begin: str, work: Any) -> Any:
        if switch.now and "IMMEDIATE" in begin:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return real(connection, begin, work)

    monkeypatch.setattr(job_database, "_transaction", transaction)
    return switch


async def for_ever(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
    await asyncio.Event().wait()
    return job


async def test_a_job_cancelled_before_its_first_step_is_cancelled_and_frees_its_place(desk: Desk) -> None:
    first, second = await desk.add(), await desk.add()
    async with at_work(desk):
        while desk.board.running_view(first) is None:  # noqa: ASYNC110  one turn of the loop, no later
            await asyncio.sleep(0)
        assert (await desk.dispatcher.cancel(first)).status == "cancelled"
        assert first not in desk.runner.started
        await desk.becomes(second, "done")


async def test_a_job_cancelled_while_it_is_claimed_does_not_work_for_nothing(desk: Desk) -> None:
    desk.runner.way = for_ever
    async with at_work(desk):
        job_id = await desk.add()
        # The claim stands in line at the database already; the cancel follows it.
        await asyncio.sleep(0)
        assert (await desk.dispatcher.cancel(job_id)).status == "cancelled"
        await eventually_async(lambda: desk.board.running_view(job_id) is None)
        desk.runner.way = desk.runner.done
        await desk.becomes(await desk.add(), "done")


async def test_a_job_that_waits_with_what_it_had_leaves_no_spool_when_it_is_cancelled(desk: Desk) -> None:
    await desk.queue.set_paused(True)
    async with at_work(desk):
        job_id = await desk.add()
        assert (await desk.dispatcher.cancel(job_id)).status == "cancelled"
        assert desk.runner.spools_cleared == [job_id]
        with pytest.raises(MoveNotAllowed):
            await desk.dispatcher.cancel(job_id)
        assert desk.runner.spools_cleared == [job_id], "the spool of a job that is over may be that of its upgrade"


async def test_whoever_hears_that_a_job_is_cancelled_finds_nobody_at_work_on_it_and_no_spool(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's disk takes its time, and never the same: 10 of 300 worked on when writes were told out of order."""
    luck, at_it = random.Random(19), set[int]()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: time.sleep(luck.uniform(0, 0.004)), raising=False)

    async def way(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        at_it.add(job.id)
        try:
            return await for_ever(job, transcriber_is_free)
        finally:
            at_it.discard(job.id)

    desk.runner.way = way
    async with at_work(desk):
        for number in range(120):
            job_id = await desk.add()
            await asyncio.sleep(number % 12 / 1000)
            assert (await desk.dispatcher.cancel(job_id)).status == "cancelled"
            assert job_id not in at_it and job_id not in desk.dispatcher._tasks
            assert job_id in desk.runner.spools_cleared
            assert (await desk.queue.get(job_id)).status == "cancelled"


async def test_two_cancels_at_once_cancel_once_and_both_hear_so(desk: Desk) -> None:
    desk.runner.way = for_ever
    async with at_work(desk):
        job_id = await desk.add()
        await eventually_async(lambda: desk.runner.started)
        jobs = await asyncio.gather(desk.dispatcher.cancel(job_id), desk.dispatcher.cancel(job_id))
        assert [job.status for job in jobs] == ["cancelled", "cancelled"]


async def test_files_that_are_being_written_are_written_to_the_end(desk: Desk) -> None:
    may_go_on = asyncio.Event()

    async def slow_disk(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        desk.board.tell(await desk.queue.move(job.id, "writing"))
        await may_go_on.wait()
        return await desk.queue.move(job.id, "done")

    desk.runner.way = slow_disk
    async with at_work(desk):
        job_id = await desk.add()
        await desk.becomes(job_id, "writing")
        # The disk has it before whoever stored it is told.
        await eventually_async(lambda: (view := desk.board.running_view(job_id)) and view.status == "writing")
        cancelling = asyncio.create_task(desk.dispatcher.cancel(job_id))
        await asyncio.sleep(0.05)
        may_go_on.set()
        with pytest.raises(Exception, match="is done"):
            await cancelling
        await desk.becomes(job_id, "done")


async def test_who_listens_hears_that_a_job_is_done_even_if_a_cancel_came_too_late(desk: Desk) -> None:
    async def done_and_lingering(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        done = await desk.runner.done(job, transcriber_is_free)
        await asyncio.sleep(60)
        return done  # type: ignore[no-any-return]

    desk.runner.way = done_and_lingering
    async with desk.bus.subscribe() as events, at_work(desk):
        job_id = await desk.add()
        await desk.becomes(job_id, "done")
        with pytest.raises(Exception, match="is done"):
            await desk.dispatcher.cancel(job_id)
        async with asyncio.timeout(5):
            async for event in events:
                if isinstance(event, JobChanged) and event.job.status == "done":
                    break


@pytest.mark.parametrize("way", ["bug", "failed"])
async def test_whatever_ends_a_job_takes_its_spool_with_it(desk: Desk, way: str) -> None:
    async def ends(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        raise RuntimeError("oh") if way == "bug" else JobFailed("damaged", "", "")

    desk.runner.way = ends
    async with at_work(desk):
        job_id = await desk.add()
        job = await desk.becomes(job_id, "failed")
        assert job.error is not None
        assert job.error.code == ("internal_error" if way == "bug" else "damaged")
        assert desk.runner.spools_cleared == [job_id]


async def test_a_job_that_must_wait_blocks_no_other_and_is_tried_again_later(desk: Desk) -> None:
    tries: list[int] = []

    async def no_room_for_the_first(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        tries.append(job.id)
        if tries.count(job.id) < 3 and job.id == min(tries):
            raise JobMustWait("no space is left")
        done: Job = await desk.runner.done(job, transcriber_is_free)
        return done

    desk.runner.way = no_room_for_the_first
    first, second = await desk.add(), await desk.add()
    async with at_work(desk):
        await desk.becomes(first, "done")
        await desk.becomes(second, "done")
        assert sorted(tries) == [first, first, first, second]
        assert tries[-1] == first, "the other one went by"


async def test_a_missing_model_keeps_only_those_waiting_who_want_it_and_tells_each_of_them(desk: Desk) -> None:
    missing = {"large": WorkerUnavailable("needs_model", "needs model large", "pull it")}
    looks: list[int] = []
    desk.availability.unavailable_because, desk.availability.lacks_model = lambda: missing, True
    desk.availability.recheck = lambda: looks.append(1)
    large, also_large = await desk.add("large"), await desk.add("large")
    small = await desk.add("small")
    async with at_work(desk):
        await desk.becomes(small, "done")
        await eventually_async(lambda: len(looks) > 2, what="as long as jobs wait, somebody looks")
        notes = [desk.board.view(await desk.queue.get(job_id)).note for job_id in (large, also_large, small)]
        assert notes == ["needs model large: pull it", "needs model large: pull it", None]
        missing.clear()
        desk.dispatcher.wake()
        await desk.becomes(also_large, "done")
        assert desk.runner.started == [small, large, also_large]
        so_far = len(looks)
        desk.dispatcher.wake()
        await desk.becomes(await desk.add(), "done")
        assert len(looks) <= so_far + 1, "nobody looks for what nobody waits for"


async def test_what_was_set_back_is_tried_at_once_when_somebody_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.jobs.dispatcher.LOOK_AGAIN_SECONDS", 60.0)
    tries: list[int] = []

    async def not_at_first(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        tries.append(job.id)
        if len(tries) == 1:
            raise JobMustWait("needs model large")
        done: Job = await desk.runner.done(job, transcriber_is_free)
        return done

    desk.runner.way = not_at_first
    async with at_work(desk):
        job_id = await desk.add()
        await eventually_async(lambda: desk.dispatcher.turns.now.deferred)
        desk.dispatcher.try_at_once()
        await desk.becomes(job_id, "done")


async def test_a_full_disk_under_the_database_makes_jobs_wait_and_says_so(
    desk: Desk, full_disk: SimpleNamespace
) -> None:
    job_id = await desk.add()
    full_disk.now = True
    async with at_work(desk):
        await eventually_async(lambda: "the disk is full" in (desk.board.why_waiting or ""))
        assert desk.board.view(await desk.queue.get(job_id)).note == desk.board.why_waiting
        full_disk.now = False
        await desk.becomes(job_id, "done")
        assert desk.board.why_waiting is None


async def test_an_end_that_the_full_disk_does_not_take_is_stored_when_there_is_room(
    desk: Desk, full_disk: SimpleNamespace
) -> None:
    async def fails_on_a_full_disk(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        full_disk.now = True
        raise JobFailed("not_media", "", "")

    desk.runner.way = fails_on_a_full_disk
    first = await desk.add()
    async with at_work(desk):
        await eventually_async(lambda: desk.board.why_waiting)
        assert (await desk.queue.get(first)).status == "transcribing"
        full_disk.now = False
        assert (await desk.becomes(first, "failed")).error is not None


async def test_a_full_disk_in_the_middle_of_a_job_lets_it_go_on_later(desk: Desk, full_disk: SimpleNamespace) -> None:
    async def stores_nothing_once(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        full_disk.now = job.claims == 1
        done: Job = await desk.runner.done(job, transcriber_is_free)
        return done

    desk.runner.way = stores_nothing_once
    async with at_work(desk):
        job_id = await desk.add()
        await eventually_async(lambda: desk.board.why_waiting)
        full_disk.now = False
        assert (await desk.becomes(job_id, "done")).claims == 2


async def test_a_stop_does_not_undo_the_end_of_a_job_that_is_just_being_stored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_busy, may_go_on = threading.Event(), threading.Event()
    real = job_database._transaction

    def slowly(connection: Any, begin: str, work: Any) -> Any:
        is_busy.set()
        assert may_go_on.wait(10)
        return real(connection, begin, work)

    async def must_wait(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        monkeypatch.setattr(job_database, "_transaction", slowly)
        others.append(asyncio.create_task(desk.queue.counts()))
        await asyncio.to_thread(is_busy.wait, 10)
        raise JobMustWait("the daemon stops")

    others: list[asyncio.Task[Any]] = []
    desk.runner.way = must_wait
    job_id = await desk.add()
    dispatching = asyncio.create_task(desk.dispatcher.run())
    await asyncio.to_thread(is_busy.wait, 10)
    for _ in range(100):
        await asyncio.sleep(0)  # the job's end is now in line behind the slow one
    dispatching.cancel()
    for _ in range(100):
        await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.wait([dispatching, *others])
    assert (await desk.queue.get(job_id)).status == "waiting"


async def test_waiting_jobs_say_that_the_queue_is_paused_while_one_still_runs(desk: Desk) -> None:
    desk.runner.way = for_ever
    async with at_work(desk):
        await desk.add()
        await eventually_async(lambda: desk.runner.started)
        waiting = await desk.add()
        await desk.dispatcher.set_paused(True)
        assert "paused" in (desk.board.view(await desk.queue.get(waiting)).note or "")
        await desk.dispatcher.set_paused(False)
        assert desk.board.view(await desk.queue.get(waiting)).note is None


async def test_all_jobs_without_words_are_upgraded_though_nothing_wakes_us_between(desk: Desk) -> None:
    jobs = [await desk.add_done_without_words() for _ in range(13)]
    async with at_work(desk):
        await desk.becomes(jobs[0], "done")
        for _ in range(500):
            if not await desk.queue.jobs_to_upgrade():
                break
            await asyncio.sleep(0.01)
        assert [(await desk.queue.get(job_id)).timing for job_id in jobs] == ["word"] * 13


@pytest.mark.parametrize("trouble", [RuntimeError("a bug"), JobMustWait("no space is left")])
async def test_an_upgrade_that_does_not_succeed_holds_up_neither_the_others_nor_the_daemon(
    desk: Desk, trouble: Exception
) -> None:
    first, second = await desk.add_done_without_words(), await desk.add_done_without_words()
    tries: list[int] = []

    async def not_the_first(job: Job) -> Job:
        tries.append(job.id)
        if job.id == first and (tries.count(first) == 1 or isinstance(trouble, RuntimeError)):
            raise trouble
        return await desk.runner.upgraded(job)  # type: ignore[no-any-return]

    desk.runner.upgrade_way = not_the_first
    async with at_work(desk):
        await eventually_async(lambda: second in tries)
        if isinstance(trouble, JobMustWait):
            await eventually_async(lambda: tries.count(first) == 2)
            assert tries[:2] == [first, second]
        else:
            assert tries.count(first) == 1
            assert (await desk.queue.get(first)).degraded_reason == "alignment_failed"


async def test_a_full_disk_is_told_to_whoever_asks_for_a_change() -> None:
    async def retry(job_id: int) -> None:
        raise JobQueueBroken("disk_full", "the disk is full", "free some space")

    app = create_app(cast(Any, SimpleNamespace(retry=retry)), asyncio.Event())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steno") as client:
        answer = await client.post("/v1/jobs/1/retry")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")


async def test_a_model_is_preferred_only_for_so_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, job = desk.dispatcher.turns, await desk.queue.get(await desk.add())
    turns.claimed(job, turns.now)
    assert not turns.now.oldest_decides
    monkeypatch.setattr("supervisor.jobs.dispatch_order.LONGEST_SERVED_SECONDS", 0.0)
    turns.claimed(job, turns.now)
    assert turns.now.oldest_decides, "one more of the same does not begin again"
    turns.nobody_claimed()
    assert not turns.now.oldest_decides, "nor does anybody wait for one who rests"


async def test_a_queue_that_cannot_be_read_while_a_folder_is_away_leaves_no_job_running_without_a_task(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        raise JobFailed("not_found", "gone", "")

    async def unreadable(watch: str) -> Any:
        raise JobQueueBroken("database_failed", "not readable", "look")

    async def is_away(watch: str) -> bool:
        return True

    desk.runner.way = gone
    monkeypatch.setattr(desk.queue, "waiting_from", unreadable)
    monkeypatch.setattr(desk.dispatcher, "_is_away", is_away)
    async with at_work(desk):
        identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4, sha256="a")
        job = await add_from_watch(desk.queue, "/w/a.wav", JobOptions(), identity, "/w")
        assert job is not None
        desk.dispatcher.wake()
        await eventually_async(lambda: len(desk.runner.started) >= 2)
        desk.runner.way = desk.runner.done
        await desk.becomes(job.id, "done")


async def test_a_job_that_is_running_in_the_database_alone_is_put_back_and_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever mistake of ours it was: its end was not recorded, and no task is left."""

    async def lost(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        desk.runner.way = desk.runner.done
        monkeypatch.setattr(desk.dispatcher, "_record", forgets)
        raise JobMustWait("for something")

    async def forgets(job_id: int, status: str, changes: Any) -> Job:
        monkeypatch.setattr(desk.dispatcher, "_record", remembers)
        raise RuntimeError("a mistake of ours")

    remembers = desk.dispatcher._record
    desk.runner.way = lost
    async with at_work(desk):
        job_id = await desk.add()
        await desk.becomes(job_id, "done")
        assert desk.dispatcher.probation.left_behind == 1


async def test_a_job_that_was_cancelled_meanwhile_does_not_stand_in_line_again(desk: Desk) -> None:
    async def waits_too_late(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        await desk.queue.move(job.id, "cancelled")
        raise JobMustWait("its disk does not answer")

    desk.runner.way = waits_too_late
    async with at_work(desk):
        job_id = await desk.add()
        await desk.becomes(job_id, "cancelled")
        await eventually_async(lambda: desk.board.running_view(job_id) is None)
        assert (await desk.queue.get(job_id)).status == "cancelled"


async def test_a_job_that_took_the_daemon_along_runs_alone(desk: Desk) -> None:
    suspect = await desk.add()
    await desk.queue.change(suspect, daemon_deaths=3)
    beside: list[int] = []

    async def looks_around(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        transcriber_is_free()
        await asyncio.sleep(0.05)
        if job.id == suspect:
            beside.extend(view.id for view in desk.board.running if view.id != suspect)
        return cast(Job, await desk.runner.done(job, transcriber_is_free))

    desk.runner.way = looks_around
    others = [await desk.add() for _ in range(3)]
    async with at_work(desk):
        await desk.becomes(others[0], "done")
        later = await desk.add()
        for job_id in (*others, later, suspect):
            await desk.becomes(job_id, "done")
        assert desk.runner.started[-1] == suspect
        assert beside == []


async def test_an_urgent_job_runs_beside_two_others_and_the_next_normal_one_still_waits(desk: Desk) -> None:
    async def at_aligner(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        transcriber_is_free()
        return await for_ever(job, transcriber_is_free)

    desk.runner.way = at_aligner
    async with at_work(desk):
        first, second = await desk.add(), await desk.add()
        await desk.becomes(second, "transcribing")
        third = await desk.add()
        desk.runner.way = desk.runner.done
        urgent = [await desk.add(priority="now") for _ in range(3)]
        for job_id in urgent:
            await desk.becomes(job_id, "done")
        assert (await desk.queue.get(third)).status == "waiting"
        for job_id in (first, second):
            await desk.dispatcher.cancel(job_id)
        await desk.becomes(third, "done")


async def test_urgent_jobs_wait_for_one_another_at_the_transcriber(desk: Desk) -> None:
    desk.runner.way = for_ever
    async with at_work(desk):
        first, second = await desk.add(priority="now"), await desk.add(priority="now")
        normal = await desk.add()
        await desk.becomes(first, "transcribing")
        await desk.becomes(normal, "transcribing")
        assert (await desk.queue.get(second)).status == "waiting"
        await desk.dispatcher.cancel(first)
        await desk.becomes(second, "transcribing")


async def test_four_normal_jobs_start_for_each_one_of_the_archive(desk: Desk) -> None:
    archive = [await desk.add(priority="archive") for _ in range(2)]
    normal = [await desk.add() for _ in range(8)]
    async with at_work(desk):
        for job_id in (*archive, *normal):
            await desk.becomes(job_id, "done")
    assert desk.runner.started == [*normal[:4], archive[0], *normal[4:], archive[1]]


async def test_an_urgent_job_exchanges_a_running_jobs_model_once_in_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.jobs.dispatch_order.LONGEST_SERVED_SECONDS", 0.5)
    desk.availability.loaded_names = frozenset({None})

    async def forever_unless_urgent(job: Job, transcriber_is_free: Callable[[], None]) -> Job:
        if job.priority != "now":
            return await for_ever(job, transcriber_is_free)
        return await desk.runner.done(job, transcriber_is_free)

    desk.runner.way = forever_unless_urgent
    async with at_work(desk):
        await desk.becomes(await desk.add(), "transcribing")
        await desk.becomes(await desk.add("large", priority="now"), "done")
        began = time.monotonic()
        second = await desk.add("large", priority="now")
        await desk.becomes(await desk.add(priority="now"), "done")
        assert (await desk.queue.get(second)).status == "waiting"
        await desk.becomes(second, "done")
        assert time.monotonic() - began >= 0.4
