"""What becomes of files that come into watched folders: copies, renames, swaps, returns. A real queue, no disk."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from asked_queue import jobs_in, was_seen, written_for

from config.settings import QueueSettings
from ipc.api_messages import JobError, JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.arrival import Arrival, Fate
from supervisor.store.job import Job, WrittenFile
from supervisor.store.jobs import JobQueue

NOT_FOUND = JobError(code="not_found", message="it does not exist", hint="check the path")
DAMAGED = JobError(code="damaged", message="it is no recording", hint="play it")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(most_waiting=50))
    yield queue
    await queue.close()


def identity(content: str, inode: int = 0) -> FileIdentity:
    """A file with this content; the same content has the same inode unless another is given."""
    return FileIdentity(1, inode or sum(map(ord, content)), len(content), sum(map(ord, content)), content)


def arrival(path: str, content: str, inode: int = 0, watch: str = "/w", treatment: str = "as usual") -> Arrival:
    return Arrival(path, identity(content, inode), JobOptions(prompt=watch), watch, treatment)


async def comes(
    queue: JobQueue,
    path: str,
    content: str,
    *,
    inode: int = 0,
    watch: str = "/w",
    treatment: str = "as usual",
    strays: tuple[int, ...] = (),
) -> tuple[Fate, int | None]:
    verdict, job = await queue.seen.take_in(arrival(path, content, inode, watch, treatment), strays)
    return verdict.fate, None if job is None else job.id


async def end(
    queue: JobQueue, job_id: int | None, how: Literal["done", "failed", "cancelled"], error: JobError | None = None
) -> Job:
    assert job_id is not None
    job = await queue.get(job_id)
    await queue.move(job_id, "transcribing")
    if how != "done":
        return await queue.move(job_id, how, error=error)
    stem = job.first_path.rpartition(".")[0]
    await queue.move(job_id, "writing")
    return await queue.move(job_id, "done", outputs={"srt": WrittenFile(f"{stem}.srt", f"words of {job_id}")})


async def test_a_recording_renamed_while_it_waits_is_one_job_under_its_new_name(queue: JobQueue) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    assert await comes(queue, "/w/b.wav", "A", strays=(1,)) == ("followed", first)
    job = await queue.get(1)
    assert (job.path, job.first_path, job.status) == ("/w/b.wav", "/w/b.wav", "waiting")
    assert await was_seen(queue, "/w/b.wav", identity("A"))
    assert await comes(queue, "/w/c.wav", "A", strays=(1,)) == ("followed", first), "renamed twice"
    assert await comes(queue, "/w/a.wav", "A", strays=(1,)) == ("followed", first), "and back"
    assert (await queue.get(1)).path == "/w/a.wav"
    assert len(await jobs_in(queue)) == 1


async def test_a_copy_of_what_waits_runs_or_is_done_is_nothing_new(queue: JobQueue) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    assert await comes(queue, "/w/copy 1.wav", "A", inode=2) == ("known", first)
    await queue.move(1, "transcribing")
    assert await comes(queue, "/w/copy 2.wav", "A", inode=3) == ("known", first)
    await queue.move(1, "writing")
    await queue.move(1, "done")
    assert await comes(queue, "/w/copy 3.wav", "A", inode=4) == ("known", first)
    assert await comes(queue, "/w/a.wav", "A", inode=5) == ("known", first), "copied again to the same place"


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_job_that_came_to_nothing_blocks_no_copy_and_the_file_itself_waits_for_a_retry(
    queue: JobQueue, how: Literal["failed", "cancelled"]
) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    await end(queue, first, how, DAMAGED if how == "failed" else None)
    assert await was_seen(queue, "/w/a.wav", identity("A"))
    assert await comes(queue, "/w/a.wav", "A", inode=7) == ("known", first), "touched"
    fate, second = await comes(queue, "/w/copy.wav", "A", inode=2)
    assert (fate, second != first) == ("new", True)
    await end(queue, second, "done")
    assert await comes(queue, "/w/another copy.wav", "A", inode=3) == ("known", second)


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_copy_stays_new_after_the_job_that_came_to_nothing_is_forgotten(
    queue: JobQueue, how: Literal["failed", "cancelled"]
) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    await end(queue, first, how)
    await queue._database.write(lambda db: db.execute("DELETE FROM jobs WHERE id = ?", (first,)))
    assert await comes(queue, "/w/a.wav", "A", inode=7) == ("known", None)
    assert (await comes(queue, "/w/copy.wav", "A", inode=2))[0] == "new"


async def test_a_copy_that_came_while_the_first_was_waiting_is_taken_after_that_has_failed(queue: JobQueue) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    await comes(queue, "/w/copy.wav", "A", inode=2)
    assert await was_seen(queue, "/w/copy.wav", identity("A", 2))
    await end(queue, first, "failed", DAMAGED)
    assert not await was_seen(queue, "/w/copy.wav", identity("A", 2))
    fate, second = await comes(queue, "/w/copy.wav", "A", inode=2)
    assert (fate, second != first) == ("new", True)
    await end(queue, second, "failed", DAMAGED)
    assert await was_seen(queue, "/w/copy.wav", identity("A", 2)), "once each"
    assert await was_seen(queue, "/w/a.wav", identity("A"))


async def test_a_recording_that_was_missing_at_its_turn_is_tried_again_where_it_comes_back(queue: JobQueue) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    await end(queue, first, "failed", NOT_FOUND)
    assert not await was_seen(queue, "/w/a.wav", identity("A"))
    assert await comes(queue, "/w/a.wav", "A") == ("revived", first)
    assert (await queue.get(1)).status == "waiting"
    await end(queue, first, "failed", NOT_FOUND)
    assert await comes(queue, "/w/b.wav", "A", strays=(1,)) == ("revived", first)
    job = await queue.get(1)
    assert (job.path, job.status, job.error) == ("/w/b.wav", "waiting", None)
    # Its owner took it out of the folder for what failed.
    job = await queue.change(1, path="/w/failed/b.wav", taken_from="/w/b.wav")
    await end(queue, first, "failed", DAMAGED)
    assert not await was_seen(queue, "/w/b.wav", identity("A"))
    assert await comes(queue, "/w/b.wav", "A", strays=(1,)) == ("revived", first)
    assert (await queue.get(1)).first_path == "/w/b.wav"


async def test_a_cancelled_recording_that_is_renamed_stays_cancelled_and_can_be_retried(queue: JobQueue) -> None:
    _, first = await comes(queue, "/w/a.wav", "A")
    await end(queue, first, "cancelled")
    assert await comes(queue, "/w/b.wav", "A", strays=(1,)) == ("followed", first)
    job = await queue.get(1)
    assert (job.path, job.status) == ("/w/b.wav", "cancelled")


async def test_content_that_comes_back_to_a_path_is_done_again_unless_its_words_still_lie_there(
    queue: JobQueue,
) -> None:
    _, a = await comes(queue, "/w/memo.wav", "A")
    await end(queue, a, "done")
    _, b = await comes(queue, "/w/memo.wav", "B")
    await end(queue, b, "done")
    assert not await was_seen(queue, "/w/memo.wav", identity("A")), "the very file of before, moved back"
    fate, again = await comes(queue, "/w/memo.wav", "A")
    assert fate == "new"
    await end(queue, again, "done")
    assert (await comes(queue, "/w/memo.wav", "B"))[0] == "new"
    # B came for a moment only, and its job had not written anything.
    _, c = await comes(queue, "/w/note.wav", "C")
    await end(queue, c, "done")
    _, d = await comes(queue, "/w/note.wav", "D")
    assert await comes(queue, "/w/note.wav", "C") == ("known", c)
    assert d is not None and not await queue.seen.adopt(await queue.get(d), identity("C"))


async def test_content_that_came_back_while_the_other_is_being_heard_is_done_again(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/memo.wav", "A")
    await end(queue, a, "done")
    _, b = await comes(queue, "/w/memo.wav", "B")
    assert b is not None
    await queue.move(b, "transcribing")
    assert (await comes(queue, "/w/memo.wav", "A"))[0] == "new"


async def test_content_that_came_back_while_both_are_being_heard_is_done_after_the_other(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/memo.wav", "A")
    _, b = await comes(queue, "/w/memo.wav", "B")
    assert a is not None and b is not None
    for job_id in (a, b):
        await queue.move(job_id, "transcribing")
    assert (await comes(queue, "/w/memo.wav", "A"))[0] == "new", "B's words will be written over A's"


async def test_content_that_came_back_before_its_turn_needs_no_second_job(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/memo.wav", "A")
    _, b = await comes(queue, "/w/memo.wav", "B")
    assert await comes(queue, "/w/memo.wav", "A") == ("known", a)
    assert b is not None and not await queue.seen.adopt(await queue.get(b), identity("A")), "B is superseded"


async def test_a_path_with_results_of_other_content_is_done_though_its_content_is_known_elsewhere(
    queue: JobQueue,
) -> None:
    _, a = await comes(queue, "/w/a.wav", "A")
    _, b = await comes(queue, "/w/b.wav", "B")
    await end(queue, a, "done")
    await end(queue, b, "done")
    # The two change names.
    fate, third = await comes(queue, "/w/a.wav", "B", strays=(2,))
    assert fate == "new"
    assert (await written_for(queue, "/w/a.wav")) == {"/w/a.srt": "words of 1"}, "to be replaced"
    assert (await comes(queue, "/w/b.wav", "A", strays=(1,)))[0] == "new"
    await end(queue, third, "done")
    assert await was_seen(queue, "/w/a.wav", identity("B"))


async def test_two_waiting_recordings_that_change_names_stay_two_jobs(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/a.wav", "A")
    _, b = await comes(queue, "/w/b.wav", "B")
    assert await comes(queue, "/w/a.wav", "B", strays=(2,)) == ("followed", b)
    assert await comes(queue, "/w/b.wav", "A", strays=(1,)) == ("followed", a)
    assert [(await queue.get(n)).path for n in (1, 2)] == ["/w/b.wav", "/w/a.wav"]


async def test_the_results_of_a_renamed_recording_stay_its_own(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/memo.wav", "A")
    await end(queue, a, "done")
    assert await comes(queue, "/w/monday.wav", "A", strays=(1,)) == ("followed", a)
    job = await queue.get(1)
    assert (job.path, job.first_path, job.status) == ("/w/monday.wav", "/w/memo.wav", "done")
    assert (await comes(queue, "/w/memo.wav", "B"))[0] == "new"
    assert await written_for(queue, "/w/memo.wav") == {}, "the next memo must not overwrite Monday's words"
    assert await queue.outputs.of_others("/w/memo.wav", "/w/memo") == {"/w/memo.srt": "/w/monday.wav"}


async def test_a_recording_moved_to_another_watched_folder_before_its_turn_is_treated_as_that_wants(
    queue: JobQueue,
) -> None:
    _, a = await comes(queue, "/w/a.wav", "A", treatment="German")
    moved = await comes(queue, "/v/a.wav", "A", watch="/v", treatment="French", strays=(1,))
    assert moved == ("followed", a)
    job = await queue.get(1)
    assert (job.path, job.watch, job.options.prompt) == ("/v/a.wav", "/v", "/v")
    assert await comes(queue, "/v/copy.wav", "A", inode=2, watch="/v", treatment="French") == ("known", a)
    assert (await comes(queue, "/w/copy.wav", "A", inode=3, treatment="German"))[0] == "known", (
        "it was taken there once"
    )
    await queue.move(1, "transcribing")
    assert (await comes(queue, "/u/a.wav", "A", watch="/u", treatment="Dutch", strays=(1,)))[0] == "new"


async def test_a_job_adopts_what_its_file_has_become_but_not_what_is_another_jobs(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/a.wav", "A")
    assert a is not None
    assert await queue.seen.adopt(await queue.get(a), identity("B"))
    assert await was_seen(queue, "/w/a.wav", identity("B"))
    await queue.change(a, identity=identity("B"))
    assert await comes(queue, "/w/a.wav", "B", inode=9) == ("known", a)
    _, c = await comes(queue, "/w/c.wav", "C")
    assert not await queue.seen.adopt(await queue.get(a), identity("C", 5)), "a copy of what waits elsewhere"
    assert c is not None


async def test_what_a_job_was_before_it_adopted_other_content_is_as_good_as_never_seen(queue: JobQueue) -> None:
    _, a = await comes(queue, "/w/a.wav", "A")
    assert a is not None and await queue.seen.adopt(await queue.get(a), identity("B"))
    await queue.change(a, identity=identity("B"))
    await end(queue, a, "done")
    assert (await comes(queue, "/w/copy.wav", "A", inode=2))[0] == "new"
    assert (await comes(queue, "/w/copy of b.wav", "B", inode=3)) == ("known", a)
    _, c = await comes(queue, "/w/c.wav", "C")
    assert c is not None and await queue.seen.adopt(await queue.get(c), identity("D"))
    await queue.change(c, identity=identity("D"))
    await end(queue, c, "done")
    assert (await comes(queue, "/w/c.wav", "C"))[0] == "new", "the edit was taken back"


async def test_what_older_versions_have_seen_is_known_at_its_path_and_elsewhere(queue: JobQueue) -> None:
    await queue._database.write(
        lambda db: db.executemany(
            "INSERT INTO seen_files (path, sha256, inode, size, mtime_ns) VALUES ('/w/a.wav', ?, ?, 1, ?)",
            [("A", "65", 65), ("B", "66", 66)],
        )
    )
    for content in ("A", "B"):
        assert await was_seen(queue, "/w/a.wav", identity(content))
        assert await comes(queue, f"/w/copy of {content}.wav", content, inode=9) == ("known", None)
    assert await comes(queue, "/w/a.wav", "A", inode=8) == ("known", None)
    assert not await was_seen(queue, "/w/a.wav", identity("B")), "from now on the order is known"


async def test_of_a_thousand_files_those_that_are_known_are_told_in_one_breath(queue: JobQueue) -> None:
    files = [(f"/w/{n}.wav", replace(identity("A", n + 1), sha256=None)) for n in range(1000)]
    for path, facts in files[:3]:
        await queue.seen.take_in(Arrival(path, replace(facts, sha256=path)))
    assert await queue.seen.known(files) == {path for path, _ in files[:3]}
