"""Recordings that take the daemon along: charged at an end that was not orderly, condemned on evidence alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from running_dispatcher import Desk, at_work

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.daemon_deaths import is_condemned, is_suspect, pause_before_trial
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.schedule import SchedulingHints

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
ALONE = SchedulingHints(suspects_too=True)
WITH_OTHERS = SchedulingHints(suspects_too=False)


class Lives:
    """One daemon after another over the same queue."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "queue.db"
        self.queue: JobQueue

    async def begin(self) -> JobQueue:
        self.queue = await JobQueue.open(self._file, QueueSettings())
        return self.queue

    async def die(self) -> None:
        """As `kill -9` does, as far as the database can tell."""
        await self.queue.close()

    async def end(self) -> None:
        await self.queue.deaths.note_orderly_end()
        await self.queue.close()

    async def add(self, *names: str) -> list[int]:
        return [(await self.queue.add(f"/x/{name}.wav", JobOptions(), IDENTITY)).id for name in names]


@pytest.fixture
async def lives(tmp_path: Path) -> Lives:
    lives = Lives(tmp_path)
    await lives.begin()
    return lives


async def claim(queue: JobQueue, turn: SchedulingHints = ALONE) -> int | None:
    job = await queue.claim_next(turn)
    return None if job is None else job.id


async def test_after_three_deaths_of_the_daemon_a_job_stands_behind_all_others(lives: Lives) -> None:
    poison, good = await lives.add("poison", "good")
    for _ in range(3):
        assert await claim(lives.queue) == poison
        await lives.die()
        await lives.begin()
    assert [job.id for job in await lives.queue.deaths.suspects()] == [poison]
    assert "died 3 times" in ((await lives.queue.get(poison)).note or "")
    assert [job.id for job in (await lives.queue.state(next_up=9)).next_up] == [good, poison]
    assert await claim(lives.queue, WITH_OTHERS) == good
    assert await claim(lives.queue, WITH_OTHERS) is None, "it runs alone"
    assert await claim(lives.queue, ALONE) == poison
    await lives.end()


async def test_a_daemon_that_was_asked_to_stop_charges_no_job(lives: Lives) -> None:
    (job_id,) = await lives.add("a")
    for _ in range(9):
        assert await claim(lives.queue) == job_id
        await lives.end()
        await lives.begin()
    assert (await lives.queue.get(job_id)).daemon_deaths == 0
    await lives.end()


async def test_any_progress_takes_all_charges_back(lives: Lives) -> None:
    (job_id,) = await lives.add("a")
    for number in range(9):
        assert await claim(lives.queue) == job_id
        await lives.queue.store_segments(job_id, [Segment(id=number, start=0, end=1, text="a")], number + 1.0)
        await lives.die()
        await lives.begin()
        assert (await lives.queue.get(job_id)).daemon_deaths == 1
    await claim(lives.queue)
    await lives.die()
    await lives.begin()
    await claim(lives.queue)
    await lives.queue.store_aligned(job_id, [Segment(id=0, start=0, end=1, text="a")])
    assert (await lives.queue.get(job_id)).daemon_deaths == 0
    await lives.end()


async def test_it_is_condemned_by_three_more_deaths_alone_and_says_so(
    lives: Lives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.jobs.dispatcher.LOOK_AGAIN_SECONDS", 0.02)
    (poison,) = await lives.add("poison")
    pauses = []
    for _ in range(6):
        assert await claim(lives.queue) == poison
        await lives.die()
        await lives.begin()
        pauses += [pause_before_trial(job) for job in await lives.queue.deaths.suspects()]
    assert pauses == [0.0, 5.0, 10.0, 20.0]
    desk = Desk(lives.queue, tmp_path)
    async with at_work(desk):
        good = await desk.add()
        job = await desk.becomes(poison, "failed")
        await desk.becomes(good, "done")
    assert job.quarantined
    assert job.error is not None
    assert job.error.code == "daemon_died"
    assert "died 6 times" in job.error.message
    assert poison not in desk.runner.started
    again = await lives.queue.retry(poison)
    assert (again.daemon_deaths, again.deaths_alone) == (0, 0)
    await lives.end()


async def test_a_death_while_nobody_ran_takes_the_evidence_back(lives: Lives) -> None:
    (job_id,) = await lives.add("unlucky")
    for _ in range(5):
        await claim(lives.queue)
        await lives.die()
        await lives.begin()
    assert (await lives.queue.get(job_id)).deaths_alone == 2
    await lives.die()
    await lives.begin()
    job = await lives.queue.get(job_id)
    assert (is_suspect(job), job.deaths_alone, await lives.queue.deaths.other_deaths()) == (True, 0, 1)
    assert not is_condemned(replace(job, deaths_alone=3), other_deaths=1)
    await lives.end()


async def test_of_two_that_ran_together_only_the_poisonous_one_is_condemned(lives: Lives) -> None:
    poison, innocent, other = await lives.add("poison", "innocent", "other")
    condemned = await _played(lives, {poison, innocent, other}, lambda running: poison in running)
    assert condemned == {poison}


async def test_two_poisonous_ones_are_both_condemned_and_the_rest_is_done(lives: Lives) -> None:
    ids = await lives.add(*"abcdef")
    poison = {ids[0], ids[3]}
    assert await _played(lives, set(ids), lambda running: bool(poison & running)) == poison


@pytest.mark.parametrize("seed", range(8))
async def test_a_storm_of_kills_condemns_nobody(lives: Lives, seed: int) -> None:
    luck = Random(seed)
    ids = await lives.add(*map(str, range(6)))
    kills = [luck.random() < 0.8 for _ in range(60)]
    assert await _played(lives, set(ids), lambda running: bool(kills and kills.pop()), luck=luck) == set()


async def _played(
    lives: Lives, left: set[int], dies: Callable[[set[int]], bool], luck: Random | None = None
) -> set[int]:
    """The jobs that were condemned, all others being done: two at once where that is allowed, as the dispatcher does.

    `luck`: the daemon may also die in the pause before a trial, as a storm's kill would have it.
    """
    condemned: set[int] = set()
    for _ in range(1_000):
        for job in await lives.queue.deaths.suspects():
            if is_condemned(job, await lives.queue.deaths.other_deaths()):
                condemned.add(job.id)
                await lives.queue.move(job.id, "failed", quarantined=True)
        left -= condemned
        if not left:
            break
        paused = any(pause_before_trial(job) for job in await lives.queue.deaths.suspects())
        if luck is not None and paused and dies(set()):
            await lives.die()
            await lives.begin()
            continue
        running: set[int] = set()
        for _ in range(2):
            job = await lives.queue.claim_next(SchedulingHints(suspects_too=not running))
            running |= set() if job is None else {job.id}
            if job is not None and is_suspect(job):
                break
        if dies(running):
            await lives.die()
            await lives.begin()
        else:
            for job_id in running:
                await _done(lives.queue, job_id)
                left.discard(job_id)
    assert not left
    await lives.end()
    return condemned


async def _done(queue: JobQueue, job_id: int) -> Job:
    await queue.move(job_id, "writing")
    return await queue.move(job_id, "done")


async def test_an_upgrade_that_takes_the_daemon_along_is_given_up_at_the_third_time(lives: Lives) -> None:
    (job_id,) = await lives.add("a")
    await claim(lives.queue)
    await lives.queue.move(job_id, "writing")
    await lives.queue.move(job_id, "done", degraded_reason="aligner_unavailable", timing="segment")
    for _ in range(3):
        assert await lives.queue.jobs_to_upgrade()
        await lives.queue.deaths.begin_upgrade(job_id)
        await lives.die()
        await lives.begin()
    assert not await lives.queue.jobs_to_upgrade()
    assert (await lives.queue.get(job_id)).degraded_reason == "aligner_crashed"
    await lives.end()
