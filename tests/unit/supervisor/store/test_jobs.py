"""The queue: what it promises is on the disk, in order, and counted right.

Runs in: the test process.
"""

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from asked_queue import add_from_watch, jobs_in, was_seen, written_for

from config.settings import QueueSettings
from ipc.api_messages import Attempt, JobError, JobOptions, JobView
from ipc.transcript import Segment, Unheard, Word
from ipc.vocabulary import Format, JobStatus
from supervisor.disks.file_identity import FileIdentity
from supervisor.progress.views import job_view
from supervisor.store import history as job_history
from supervisor.store.claims import QueueFull
from supervisor.store.job import MoveNotAllowed, WrittenFile
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.jobs import JobQueue
from supervisor.store.schedule import SchedulingHints
from supervisor.store.sqlite import database as database_file
from supervisor.store.sqlite.database import JobQueueBroken

DAY = 86_400.0
OPTIONS = JobOptions()


class Clock:
    """Time that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def identity(number: int = 1, sha256: str | None = None) -> FileIdentity:
    # Inodes of some file systems need all 64 bits, unsigned.
    return FileIdentity(device=2**64 - 1, inode=2**64 - number, size=10, mtime_ns=number, sha256=sha256)


def segment(position: int, text: str = "hello") -> Segment:
    return Segment(id=position, start=float(position), end=position + 1.0, text=text)


def with_one_word(heard: Segment) -> Segment:
    word = Word(word=heard.text, start=heard.start, end=heard.end, score=0.5)
    return heard.model_copy(update={"timing": "word", "words": (word,)})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.sqlite3"


@pytest.fixture
async def queue(place: Path, clock: Clock) -> AsyncIterator[JobQueue]:
    queue = await JobQueue.open(place, QueueSettings(most_waiting=50), clock, clock)
    yield queue
    await queue.close()


async def test_jobs_are_claimed_oldest_first_and_each_once(queue: JobQueue) -> None:
    added = [await queue.add(f"/x/{n}.mp3", OPTIONS, identity(n)) for n in range(5)]
    claimed = [await queue.claim_next() for _ in range(6)]
    assert [job and job.id for job in claimed] == [*(job.id for job in added), None]
    assert all(job.status == "transcribing" and job.claims == 1 for job in claimed if job)


async def test_a_job_comes_back_from_the_disk_as_it_went_in(queue: JobQueue) -> None:
    options = JobOptions(language="de", formats=("json", "vtt"), prompt="Zoë\nÅse", highlight_words=True)
    job = await queue.add("/x/ü\n-'\".mp3", options, identity(3, sha256="ab"))
    expected = replace(
        job,
        note="why",
        timing="mixed",
        degraded_reason="aligner_crashed",
        language="de",
        language_probability=0.75,
        audio_seconds=12.5,
        transcribed_whole=True,
        quarantined=True,
        attempts=(Attempt(role="aligner", engine="mlx", outcome="crashed", signal="SIGSEGV", phase="aligning"),),
        outputs={"srt": WrittenFile(path="/x/ü.srt", sha256=None)},
        error=JobError(code="c", message="m", hint="h"),
        transcribed_by='{"engine":"mlx"}',
    )
    changed = await queue.change(
        job.id,
        note=expected.note,
        timing=expected.timing,
        degraded_reason=expected.degraded_reason,
        language=expected.language,
        language_probability=expected.language_probability,
        audio_seconds=expected.audio_seconds,
        transcribed_whole=expected.transcribed_whole,
        quarantined=expected.quarantined,
        attempts=expected.attempts,
        outputs=expected.outputs,
        error=expected.error,
        transcribed_by=expected.transcribed_by,
    )
    assert changed == expected == await queue.get(job.id)


async def test_jobs_to_skip_keep_their_place(queue: JobQueue) -> None:
    first, second = [await queue.add(f"/x/{n}.mp3", OPTIONS, identity(n)) for n in range(2)]
    claimed = await queue.claim_next(SchedulingHints(deferred=frozenset({first.id})))
    assert claimed is not None and claimed.id == second.id
    assert await queue.claim_next(SchedulingHints(deferred=frozenset({first.id}))) is None
    assert (await queue.get(first.id)).claims == 0
    assert await queue.claim_next() is not None


async def test_jobs_whose_model_is_missing_keep_their_place_and_hold_up_no_other(queue: JobQueue) -> None:
    wishes = [JobOptions(model="large"), JobOptions(), JobOptions(model="small"), JobOptions(model="large")]
    jobs = [await queue.add(f"/x/{n}.mp3", options, identity(n)) for n, options in enumerate(wishes)]
    large, plain, small, second_large = (job.id for job in jobs)

    async def next_without(*missing: str | None) -> int | None:
        claimed = await queue.claim_next(SchedulingHints(missing=frozenset(missing)))
        return None if claimed is None else claimed.id

    assert await next_without("large", None) == small
    assert await next_without("large") == plain
    assert await next_without("large") is None
    assert (await queue.get(large)).claims == 0
    assert [await next_without(None), await next_without(None)] == [large, second_large]


async def test_jobs_start_by_priority_among_those_that_may_start_now(queue: JobQueue) -> None:
    wishes = ["archive", None, "now", "normal"]
    jobs = [
        await queue.add(f"/x/{n}.mp3", JobOptions.model_validate({"priority": wish}), identity(n))
        for n, wish in enumerate(wishes)
    ]
    archive, first, urgent, second = (job.id for job in jobs)
    assert [job.priority for job in jobs] == ["archive", "normal", "now", "normal"]
    assert [job.id for job in (await queue.state(next_up=4)).next_up] == [urgent, first, second, archive]
    assert await queue.any_waits("now")
    claimed = await queue.claim_next(SchedulingHints(priorities=frozenset({"normal", "archive"})))
    assert claimed is not None and claimed.id == first
    claimed = await queue.claim_next(SchedulingHints(priorities=frozenset({"now"})))
    assert claimed is not None and claimed.id == urgent
    assert await queue.claim_next(SchedulingHints(priorities=frozenset({"now"}))) is None
    assert not await queue.any_waits("now")
    assert (await queue.backlog()).jobs == {None: 2}


async def test_an_older_queues_jobs_are_normal_and_keep_their_order(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(place)) as old:
        for script in database_file.SCHEMA_SCRIPTS[:6]:
            old.executescript(script.read_text("utf-8"))
        old.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 6")
        for number in range(3):
            old.execute(
                "INSERT INTO jobs (path, options, status, identity, created_at) VALUES (?, '{}', 'waiting', ?, 0)",
                (f"/x/{number}.mp3", json.dumps({"device": 1, "inode": 2, "size": 3, "mtime_ns": 4})),
            )
        old.commit()
    queue = await JobQueue.open(place, QueueSettings())
    claimed = [await queue.claim_next() for _ in range(4)]
    await queue.close()
    assert [job and (job.id, job.priority) for job in claimed] == [(1, "normal"), (2, "normal"), (3, "normal"), None]


async def test_a_job_on_probation_waits_behind_all_others(queue: JobQueue) -> None:
    suspect = await queue.add("/x/suspect.mp3", OPTIONS, identity())
    await queue.claim_next()
    await queue.move(suspect.id, "waiting", transcriber_crashes=2)
    other = await queue.add("/x/other.mp3", OPTIONS, identity())
    assert [job.id for job in (await queue.state(next_up=10)).next_up] == [other.id, suspect.id]
    assert [job.id for job in (await queue.state(next_up=1)).next_up] == [other.id]
    claimed = [await queue.claim_next(), await queue.claim_next()]
    assert [job and job.id for job in claimed] == [other.id, suspect.id]


async def test_only_allowed_moves_happen_and_a_refused_one_changes_nothing(queue: JobQueue) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    with pytest.raises(MoveNotAllowed):
        await queue.move(job.id, "done", note="never")
    assert await queue.get(job.id) == job
    with pytest.raises(NoSuchJob):
        await queue.move(99, "cancelled")


async def test_finishing_sets_the_time_and_retry_forgives_but_keeps_what_was_heard(
    queue: JobQueue, clock: Clock
) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.claim_next()
    await queue.store_segments(job.id, [segment(0)], 7.5)
    attempt = Attempt(role="transcriber", engine="mlx", outcome="crashed", signal="SIGSEGV", phase="transcribing")
    await queue.add_attempt(job.id, attempt, transcriber_crashes=3)
    clock.now += 60
    error = JobError(code="crashed", message="m", hint="h")
    failed = await queue.move(job.id, "failed", quarantined=True, error=error, note="quarantined")
    assert (failed.finished_at, failed.quarantined, failed.attempts) == (clock.now, True, (attempt,))

    again = await queue.retry(job.id)
    assert (again.status, again.finished_at, again.error, again.note) == ("waiting", None, None, None)
    assert (again.transcriber_crashes, again.quarantined, again.transcribed_seconds) == (0, False, 7.5)
    assert await queue.segments(job.id) == [segment(0)]
    with pytest.raises(MoveNotAllowed):
        await queue.retry(job.id)


async def test_a_retry_asks_again_for_the_words_that_a_cancelled_job_was_to_do_without(queue: JobQueue) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.claim_next()
    await queue.store_segments(job.id, [segment(0), segment(1)], 2.0)
    await queue.store_aligned(job.id, [with_one_word(segment(0)), segment(1)])
    await queue.change(job.id, degraded_reason="aligner_unavailable")
    await queue.move(job.id, "cancelled")
    assert (await queue.retry(job.id)).degraded_reason is None
    assert await queue.segments(job.id, unaligned_only=True) == [segment(1)]


@pytest.mark.parametrize("status", ["transcribing", "aligning", "writing"])
async def test_a_running_job_is_not_tried_again_so_it_never_has_a_twin(queue: JobQueue, status: JobStatus) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.claim_next()
    if status != "transcribing":
        await queue.move(job.id, status)
    with pytest.raises(MoveNotAllowed, match=f"is {status}; only failed and cancelled jobs can be tried again"):
        await queue.retry(job.id)
    assert (await queue.get(job.id)).status == status


async def test_a_batch_of_segments_that_comes_twice_is_stored_once(queue: JobQueue) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.store_segments(job.id, [segment(0), segment(1)], 2.0)
    await queue.store_aligned(job.id, [with_one_word(segment(0))])
    await queue.store_segments(job.id, [segment(0), segment(1), segment(2)], 1.0)
    assert await queue.segments(job.id) == [with_one_word(segment(0)), segment(1), segment(2)]
    assert (await queue.get(job.id)).transcribed_seconds == 2.0
    with pytest.raises(NoSuchJob):
        await queue.store_segments(99, [segment(0)], 1.0)


async def test_clients_are_told_every_fact_of_a_job_and_none_is_left_at_its_default(queue: JobQueue) -> None:
    told = job_view(await queue.add("/r/a.m4a", OPTIONS, identity()))
    assert told.model_fields_set == set(JobView.model_fields)


async def test_what_gave_no_text_is_stored_with_what_did_and_a_repeated_batch_changes_nothing(
    queue: JobQueue,
) -> None:
    job = await queue.add("/r/a.m4a", OPTIONS, identity())
    music = Unheard(start=3.0, end=30.0, level_db=-30.0)
    goes_on = Unheard(start=30.0, end=42.5, level_db=-24.0)
    for _ in range(2):
        await queue.store_segments(job.id, [segment(0)], 30.0, [music])
    await queue.store_segments(job.id, [], 60.0, [goes_on, Unheard(start=50.0, end=51.0, level_db=-40.0)])
    known = await queue.get(job.id)
    assert known.unheard_seconds == job_view(known).unheard_seconds == pytest.approx(40.5)
    with closing(await queue.copies.of(job.id)) as stored:
        assert [(one.start, one.end, one.level_db) for one in stored.unheard] == [(3, 42.5, -24), (50, 51, -40)]
    await queue.forget_segments(job.id)
    assert (await queue.get(job.id)).unheard_seconds is None
    with closing(await queue.copies.of(job.id)) as stored:
        assert stored.unheard == []


async def test_segments_stay_open_until_they_are_final_and_an_upgrade_opens_those_without_words(
    queue: JobQueue,
) -> None:
    job = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.store_segments(job.id, [segment(0), segment(1), segment(2)], 3.0)
    await queue.store_aligned(job.id, [with_one_word(segment(0)), segment(1)])
    assert await queue.segments(job.id, unaligned_only=True) == [segment(2)]
    await queue.reset_alignment(job.id)
    assert await queue.segments(job.id, unaligned_only=True) == [segment(1), segment(2)]
    await queue.forget_segments(job.id)
    assert await queue.segments(job.id) == []
    assert (await queue.get(job.id)).transcribed_seconds == 0.0


async def test_a_full_queue_refuses_and_takes_again_once_there_is_room(queue: JobQueue) -> None:
    for n in range(50):
        await queue.add(f"/x/{n}.mp3", OPTIONS, identity())
    with pytest.raises(QueueFull):
        await queue.add("/x/more.mp3", OPTIONS, identity())
    with pytest.raises(QueueFull):
        await add_from_watch(queue, "/w/more.mp3", OPTIONS, identity(1, sha256="aa"))
    await queue.claim_next()
    assert await add_from_watch(queue, "/w/more.mp3", OPTIONS, identity(1, sha256="aa")) is not None


async def test_a_paused_queue_gives_nothing_even_after_a_restart(place: Path) -> None:
    queue = await JobQueue.open(place, QueueSettings())
    await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.set_paused(True)
    await queue.close()
    queue = await JobQueue.open(place, QueueSettings())
    assert await queue.is_paused()
    assert await queue.claim_next() is None
    await queue.set_paused(False)
    assert await queue.claim_next() is not None
    await queue.close()


async def test_after_a_restart_running_jobs_wait_with_what_they_had(place: Path) -> None:
    queue = await JobQueue.open(place, QueueSettings())
    ids = [(await queue.add(f"/x/{n}.mp3", OPTIONS, identity())).id for n in range(4)]
    for _ in range(3):
        await queue.claim_next()
    await queue.store_segments(ids[1], [segment(0)], 5.0)
    await queue.move(ids[1], "aligning")
    await queue.move(ids[2], "writing", outputs={"srt": WrittenFile(path="/x/2.srt", sha256=None)})
    await queue.close()

    queue = await JobQueue.open(place, QueueSettings())
    jobs = [await queue.get(job_id) for job_id in ids]
    assert [job.status for job in jobs] == ["waiting"] * 4
    assert [job.claims for job in jobs] == [1, 1, 1, 0]
    assert [job.transcriber_crashes for job in jobs] == [0] * 4, "a power cut is no crash"
    assert (jobs[1].transcribed_seconds, await queue.segments(ids[1])) == (5.0, [segment(0)])
    assert jobs[2].outputs == {"srt": WrittenFile(path="/x/2.srt", sha256=None)}
    assert (await queue.counts())["waiting"] == 4
    await queue.close()


async def test_the_same_content_becomes_one_job_a_changed_file_another(queue: JobQueue) -> None:
    first = await add_from_watch(queue, "/w/a.mp3", OPTIONS, identity(1, sha256="aa"))
    assert first is not None and first.identity.sha256 == "aa"
    assert await add_from_watch(queue, "/w/copy of a.mp3", OPTIONS, identity(2, sha256="aa")) is None
    assert await was_seen(queue, "/w/copy of a.mp3", identity(2))
    assert not await was_seen(queue, "/w/a.mp3", identity(9)), "touched: its content must be read again"
    assert await add_from_watch(queue, "/w/a.mp3", OPTIONS, identity(9, sha256="bb")) is not None
    assert await add_from_watch(queue, "/w/a.mp3", OPTIONS, identity(10, sha256="aa")) is None, "changed back"
    assert await was_seen(queue, "/w/a.mp3", identity(10))


async def test_content_is_new_to_a_folder_that_treats_it_otherwise_than_all_before(queue: JobQueue) -> None:
    async def is_new(path: str, treatment: str) -> bool:
        return await add_from_watch(queue, path, OPTIONS, identity(1, sha256="aa"), treatment=treatment) is not None

    assert await is_new("/german/a.mp3", "de")
    assert not await is_new("/german/copy.mp3", "de")
    assert not await is_new("/renamed/a.mp3", "de")
    assert await is_new("/french/a.mp3", "fr")
    assert not await is_new("/german/a.mp3", "sv"), "a file that stays is not done again for a change of mind"
    assert not await is_new("/anywhere/a.mp3", "")
    assert not await is_new("/french/b.mp3", "fr")


async def test_where_inodes_do_not_hold_size_and_time_must_do(queue: JobQueue) -> None:
    await add_from_watch(queue, "/w/a.mp3", OPTIONS, identity(1, sha256="aa"))
    assert await was_seen(queue, "/w/a.mp3", replace(identity(1), inode=0))
    assert not await was_seen(queue, "/w/a.mp3", replace(identity(1), inode=0, size=1))
    assert not await was_seen(queue, "/w/a.mp3", replace(identity(1), inode=9))


async def test_old_finished_jobs_are_forgotten_but_not_what_was_seen_or_written(
    place: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_history, "PRUNED_AT_ONCE", 3)
    queue = await JobQueue.open(place, QueueSettings(keep_finished_days=10), clock, clock)
    for n in range(7):
        await queue.add(f"/x/{n}.mp3", OPTIONS, identity())
    waiting = await queue.add("/x/waiting.mp3", OPTIONS, identity())
    old = await add_from_watch(queue, "/w/a.mp3", OPTIONS, identity(1, sha256="aa"))
    assert old is not None
    await queue.store_segments(old.id, [segment(0)], 1.0)
    outputs: dict[Format, WrittenFile] = {
        "srt": WrittenFile(path="/w/a.srt", sha256="cc"),
        "txt": WrittenFile(path="/w/a.txt", sha256=None),
    }
    await queue.move(old.id, "transcribing")
    await queue.move(old.id, "writing")
    await queue.move(old.id, "done", outputs=outputs)
    for n in range(1, 8):
        await queue.move(n, "cancelled")
    assert await queue.history.prune() == 0
    clock.now += 11 * DAY
    assert await queue.history.prune() == 8
    assert [job.id for job in await jobs_in(queue)] == [waiting.id]
    assert await queue.segments(old.id) == []
    assert await add_from_watch(queue, "/w/b.mp3", OPTIONS, identity(5, sha256="aa")) is None
    assert await written_for(queue, "/w/a.mp3") == {"/w/a.srt": "cc"}
    assert await queue.outputs.of_others("/x/any.mp3", "/w/") == {"/w/a.srt": "/w/a.mp3"}
    await queue.close()


async def test_files_are_known_as_ours_until_another_recording_takes_the_name(queue: JobQueue) -> None:
    first = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.change(first.id, outputs={"srt": WrittenFile(path="/x/a.srt", sha256=None)})
    assert await written_for(queue, "/x/a.mp3") == {}
    assert await queue.outputs.of_others("/x/a.wav", "/x/a") == {"/x/a.srt": None}, "promised"
    assert await queue.outputs.of_others("/x/a.wav", "/x/b") == {}
    assert await queue.outputs.of_others("/x/a.mp3", "/x/a") == {}
    assert await queue.outputs.of_others("/x/A.wav", "/x/A") == {}
    assert await queue.outputs.of_others("/x/A.wav", "/x/A", any_case=True) == {"/x/a.srt": None}
    assert await queue.outputs.of_others("/x/B.wav", "/x/B", any_case=True) == {}
    await queue.change(first.id, outputs={"srt": WrittenFile(path="/x/a.srt", sha256="aa")})
    assert await written_for(queue, "/x/a.mp3") == {"/x/a.srt": "aa"}
    assert await queue.outputs.of_others("/x/a.wav", "/x/a") == {"/x/a.srt": "/x/a.mp3"}

    again = await queue.add("/x/a.mp3", OPTIONS, identity())
    await queue.change(again.id, outputs={"srt": WrittenFile(path="/x/a.srt", sha256=None)})
    assert await written_for(queue, "/x/a.mp3") == {"/x/a.srt": "aa"}, "still what the first job wrote"

    other = await queue.add("/x/a.wav", OPTIONS, identity())
    await queue.change(other.id, outputs={"srt": WrittenFile(path="/x/a.srt", sha256=None)})
    assert await written_for(queue, "/x/a.mp3") == await written_for(queue, "/x/a.wav") == {}


async def test_jobs_to_upgrade_are_the_done_ones_without_an_aligner_oldest_first(queue: JobQueue) -> None:
    reasons = ["aligner_unavailable", None, "aligner_crashed", "aligner_unavailable"]
    for n, reason in enumerate(reasons):
        job = await queue.add(f"/x/{n}.mp3", OPTIONS, identity())
        await queue.claim_next()
        await queue.move(job.id, "writing")
        await queue.move(job.id, "done", degraded_reason=reason)
    assert [job.path for job in await queue.jobs_to_upgrade()] == ["/x/0.mp3", "/x/3.mp3"]
    assert [job.path for job in await queue.jobs_to_upgrade(limit=1)] == ["/x/0.mp3"]
    await queue.change(1, degraded_reason=None)
    assert [job.path for job in await queue.jobs_to_upgrade()] == ["/x/3.mp3"]


async def test_list_is_newest_first_and_can_be_narrowed(queue: JobQueue) -> None:
    for n in range(6):
        await queue.add(f"/x/{n}.mp3", OPTIONS, identity())
    await queue.claim_next()
    assert [job.id for job in await jobs_in(queue, limit=3)] == [6, 5, 4]
    assert [job.id for job in await jobs_in(queue, status="transcribing")] == [1]


async def test_a_full_disk_acknowledges_nothing_and_loses_nothing(queue: JobQueue) -> None:
    kept = await queue.add("/x/kept.mp3", OPTIONS, identity())
    # SQLite's own limit on the file's size gives the very error of a full disk.
    (row,) = await queue._database.rows("PRAGMA page_count")
    await queue._database.rows(f"PRAGMA max_page_count = {row[0]}")
    acknowledged = [kept.id]
    with pytest.raises(JobQueueBroken) as refused:
        for _ in itertools.count():
            job = await queue.add("/x/" + "long" * 500, OPTIONS, identity())
            acknowledged.append(job.id)
    assert refused.value.code == "disk_full"
    assert sorted(job.id for job in await jobs_in(queue)) == acknowledged
    assert (await queue.counts())["waiting"] == len(acknowledged)
    await queue._database.rows("PRAGMA max_page_count = 1000000")
    assert (await queue.add("/x/after.mp3", OPTIONS, identity())).id > acknowledged[-1]
