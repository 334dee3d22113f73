"""One job at an aligner that does as the test says: what is stored, and what is not.

Runs in: the test process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.settings import QueueSettings, Settings
from ipc.api_messages import JobOptions
from ipc.transcript import Segment, Word
from ipc.worker_messages import Align, AudioDecoded, Decode, RequestFailed, WordsAligned
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.alignment import Alignment
from supervisor.jobs.decoding import JobContext
from supervisor.jobs.outcomes import JobMustWait
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.death import Death
from supervisor.worker.handle import WorkerDied

Answer = Callable[[Any], object]
DEATH = Death("SIGSEGV", -11, "aligning", "crashed", "segmentation fault", "", 0.0, 1)


def words_for(request: Align) -> WordsAligned:
    words = {s.id: (Word(word=s.text, start=s.start, end=s.end),) for s in request.segments}
    return WordsAligned(request_id=1, words=words)


class Keeper:
    """Answers each request by the next of `answers`, the last of them for ever; an exception is raised."""

    primary_engine = "fake"
    in_hand = staticmethod(nullcontext)
    view = SimpleNamespace(engine="fake", model="m", device="cpu")

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    @asynccontextmanager
    async def request(self, request: Any, **_: object) -> AsyncIterator[AsyncIterator[object]]:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer

        async def replies() -> AsyncIterator[object]:
            yield answer(request) if callable(answer) else answer

        yield replies()


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "queue.db", QueueSettings())
    yield queue
    await queue.close()


async def heard(queue: JobQueue, count: int) -> Job:
    job = await queue.add("/x/a.mp3", JobOptions(), FileIdentity(device=1, inode=2, size=3, mtime_ns=4))
    segments = [Segment(id=n, start=float(n), end=n + 1.0, text=f"word{n}") for n in range(count)]
    await queue.store_segments(job.id, segments, float(count))
    return job


def alignment(queue: JobQueue, job: Job, handle: Keeper, pcm: Path, *, upgrading: bool = False) -> Alignment:
    untold: Any = lambda phase, seconds: None  # noqa: E731
    any_keeper: Any = handle
    return Alignment(JobContext(job, pcm, queue, Settings(), untold), any_keeper, upgrading=upgrading)


def pcm_in(folder: Path) -> Path:
    pcm = folder / "audio.s16"
    pcm.write_bytes(b"\0\0")
    return pcm


def over() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_an_aligner_that_stops_with_the_daemon_degrades_nothing(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 6)
    handle = Keeper(words_for, WorkerUnavailable("stopping", "the aligner is stopping", ""))
    with pytest.raises(JobMustWait):
        await alignment(queue, job, handle, pcm_in(tmp_path)).run(asyncio.Event(), over())
    job = await queue.get(job.id)
    assert job.degraded_reason is None
    assert [s.id for s in await queue.segments(job.id, unaligned_only=True)] == [4, 5]
    handle = Keeper(words_for)
    await alignment(queue, job, handle, pcm_in(tmp_path)).run(asyncio.Event(), over())
    assert [s.timing for s in await queue.segments(job.id)] == ["word"] * 6
    assert [a.outcome for a in (await queue.get(job.id)).attempts] == ["done"]


async def test_a_reason_that_passes_wins_so_that_the_job_is_upgraded(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 6)
    handle = Keeper(
        lambda request: WordsAligned(request_id=1, words={}), WorkerUnavailable("broken", "it keeps dying", "")
    )
    await alignment(queue, job, handle, pcm_in(tmp_path)).run(asyncio.Event(), over())
    assert (await queue.get(job.id)).degraded_reason == "aligner_unavailable"
    assert not await queue.segments(job.id, unaligned_only=True)


async def test_an_upgrade_leaves_the_reason_in_the_database_to_the_files(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 2)
    job = await queue.change(job.id, degraded_reason="aligner_unavailable")
    refused = RequestFailed(request_id=1, code="engine_error", message="", hint="")
    upgrade = alignment(queue, job, Keeper(refused), pcm_in(tmp_path), upgrading=True)
    await upgrade.run(asyncio.Event(), over())
    assert upgrade.reason == "alignment_failed"
    # Were the daemon killed now, the job would still be one to upgrade.
    assert (await queue.get(job.id)).degraded_reason == "aligner_unavailable"


async def test_a_recording_that_is_gone_costs_words_and_not_the_text(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 3)
    gone = RequestFailed(request_id=1, code="not_found", message="gone", hint="")
    handle = Keeper(gone)
    await alignment(queue, job, handle, tmp_path / "audio.s16").run(asyncio.Event(), over())
    assert [request.kind for request in handle.asked] == ["decode"]
    assert (await queue.get(job.id)).degraded_reason == "recording_changed"
    assert len(await queue.segments(job.id)) == 3


async def test_while_the_transcriber_decodes_the_aligner_does_not(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 3)
    handle, news, is_over = Keeper(words_for), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(alignment(queue, job, handle, tmp_path / "audio.s16").run(news, is_over))
    for _ in range(20):
        news.set()
        await asyncio.sleep(0.002)
    assert not handle.asked
    pcm_in(tmp_path)
    is_over.set()
    news.set()
    await asyncio.wait_for(running, 5)
    assert [request.kind for request in handle.asked] == ["align"]


async def test_after_a_transcription_that_was_over_long_ago_the_aligner_decodes_itself(
    queue: JobQueue, tmp_path: Path
) -> None:
    job = await heard(queue, 3)

    def decoded(request: Decode) -> AudioDecoded:
        pcm_in(tmp_path)
        return AudioDecoded(request_id=1, seconds=3.0)

    handle = Keeper(decoded, words_for)
    await alignment(queue, job, handle, tmp_path / "audio.s16").run(asyncio.Event(), over())
    assert [request.kind for request in handle.asked] == ["decode", "align"]


async def test_a_long_backlog_is_read_a_batch_at_a_time(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 50)
    read: list[int] = []
    real = queue.segments

    async def watched(*arguments: Any, **named: Any) -> Any:
        segments = await real(*arguments, **named)
        read.append(len(segments))
        return segments

    queue.segments = watched  # type: ignore[method-assign]
    await alignment(queue, job, Keeper(words_for), pcm_in(tmp_path)).run(asyncio.Event(), over())
    assert max(read) == 4
    assert sum(read) == 50


async def test_an_upgrade_that_keeps_killing_the_aligner_ends(queue: JobQueue, tmp_path: Path) -> None:
    job = await heard(queue, 4)
    reason: str | None = "aligner_unavailable"
    upgrades = 0
    while reason == "aligner_unavailable":
        upgrades += 1
        assert upgrades < 10
        await queue.reset_alignment(job.id)
        handle = Keeper(WorkerDied(DEATH), WorkerUnavailable("broken", "it keeps dying", ""))
        upgrade = alignment(queue, await queue.get(job.id), handle, pcm_in(tmp_path), upgrading=True)
        await upgrade.run(asyncio.Event(), over())
        reason = upgrade.reason
    assert reason == "aligner_crashed"
