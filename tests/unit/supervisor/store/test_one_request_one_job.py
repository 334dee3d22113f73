"""A request that is made twice because its answer was lost is one job.

Runs in: the test process.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import QueueSettings
from ipc.api_messages import JobOptions, SubmitFile
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.claims import QueueFull
from supervisor.store.job_rows import KeyUsedBefore, NamedRequest, NoSuchJob
from supervisor.store.jobs import JobQueue

IDENTITY = FileIdentity(1, 2, 3, 4)
WANTED = SubmitFile(path="/x/a.mp3", options=JobOptions(language="de"))


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(most_waiting=2))
    yield queue
    await queue.close()


async def submit(queue: JobQueue, wanted: SubmitFile, key: str | None) -> int:
    request = None if key is None else NamedRequest.of(wanted, key)
    return (await queue.add(wanted.path, wanted.options, IDENTITY, request)).id


async def test_the_same_request_is_the_same_job_however_often_it_comes_and_at_once(queue: JobQueue) -> None:
    assert await asyncio.gather(*(submit(queue, WANTED, "k") for _ in range(20))) == [1] * 20
    assert await submit(queue, WANTED, "l") == 2
    assert await submit(queue, WANTED, "k") == 1, "also when no other job would be taken"
    with pytest.raises(QueueFull):
        await submit(queue, WANTED, "m")
    assert sum((await queue.counts()).values()) == 2


async def test_requests_without_a_name_are_jobs_of_their_own(queue: JobQueue) -> None:
    assert [await submit(queue, WANTED, None) for _ in range(2)] == [1, 2]


async def test_the_name_of_another_request_is_refused_and_becomes_no_job(queue: JobQueue) -> None:
    await submit(queue, WANTED, "k")
    for other in (WANTED.model_copy(update={"path": "/x/b.mp3"}), SubmitFile(path="/x/a.mp3")):
        with pytest.raises(KeyUsedBefore, match="job 1"):
            await submit(queue, other, "k")
        with pytest.raises(KeyUsedBefore):
            await queue.asked_for(NamedRequest.of(other, "k"))
    assert sum((await queue.counts()).values()) == 1


async def test_what_became_of_the_job_makes_no_other_of_it_and_with_the_job_its_name_is_forgotten(
    queue: JobQueue,
) -> None:
    await submit(queue, WANTED, "k")
    await queue.claim_next()
    await queue.change(1, path="/x/done/a.mp3", taken_from="/x/a.mp3")
    await queue.move(1, "failed")
    before = await queue.asked_for(NamedRequest.of(WANTED, "k"))
    assert before is not None and (before.id, before.status) == (1, "failed")
    assert await submit(queue, WANTED, "k") == 1
    await queue.history.forget(1)
    with pytest.raises(NoSuchJob):
        await queue.get(1)
    assert await submit(queue, WANTED, "k") == 2
