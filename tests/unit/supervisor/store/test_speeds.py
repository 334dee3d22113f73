"""What is learned from jobs: weighed, kept across a restart, and turned into the end of a queue.

Runs in: the test process.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from asked_queue import jobs_in
from hypothesis import given
from hypothesis import strategies as st

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.disks.file_identity import FileIdentity
from supervisor.progress.estimate import Expected, Left
from supervisor.progress.forecast import seconds_for_all, work_of
from supervisor.store import speeds
from supervisor.store.jobs import JobQueue
from supervisor.store.speeds import Rate, Speeds, store_speeds
from supervisor.store.sqlite import database as database_file

TURBO = EngineUsed(engine="mlx", model="large-v3-turbo", device="metal")
SMALL = EngineUsed(engine="mlx", model="small", device="metal")
HOUR = 3600.0
NOW = 1_000_000.0


def identity(size: int = 1_000_000) -> FileIdentity:
    return FileIdentity(device=1, inode=2, size=size, mtime_ns=4)


class Clock:
    """Each look at it is a second later."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


# --- one rate ----------------------------------------------------------------------------------------------------


def test_a_short_clip_says_less_than_an_hour_and_newer_jobs_more_than_older_ones() -> None:
    an_hour = Rate().after(HOUR, HOUR / 20, NOW)
    assert an_hour.audio_per_cost == pytest.approx(20)
    with_memo = an_hour.after(12.0, 12.0, NOW)
    assert with_memo.audio_per_cost == pytest.approx(20, rel=0.1)
    slower = an_hour.after(HOUR, HOUR / 5, NOW)
    assert 5 < slower.audio_per_cost < 20 / 2
    # Somebody who has only memos is believed after some dozens of them, not after an hour of sound.
    memos = an_hour
    for _ in range(100):
        memos = memos.after(12.0, 12.0 / 4, NOW)
    assert memos.audio_per_cost < 8


@given(st.lists(st.tuples(st.floats(0.1, 40_000.0), st.floats(0.5, 100.0)), min_size=1, max_size=60))
def test_a_rate_lies_between_the_slowest_and_the_fastest_job(jobs: list[tuple[float, float]]) -> None:
    rate = Rate()
    for audio_seconds, speed in jobs:
        rate = rate.after(audio_seconds, audio_seconds / speed, NOW)
    speeds = [speed for _, speed in jobs]
    assert min(speeds) * 0.999 <= rate.audio_per_cost <= max(speeds) * 1.001


# --- all of them -------------------------------------------------------------------------------------------------


def test_each_model_has_its_own_speed_and_an_unloaded_one_is_found_by_what_is_known_of_it() -> None:
    speeds = Speeds(Clock())
    speeds.note("transcribing", TURBO, 600.0, 30.0)
    speeds.note("transcribing", SMALL, 600.0, 15.0)
    speeds.note("aligning", EngineUsed(engine="whisperx", model="base", device="cpu"), 600.0, 10.0)
    speeds.note("decoding", None, 600.0, 2.0)
    assert speeds.speed("transcribing", "mlx", "large-v3-turbo", "metal") == pytest.approx(20)
    assert speeds.speed("transcribing", "mlx", "small", None) == pytest.approx(40)
    assert speeds.speed("transcribing", "mlx", None, None) == pytest.approx(40), "the default: what was used last"
    assert speeds.speed("transcribing", "whisperx", None, None) is None
    assert speeds.speed("transcribing", "mlx", "medium", None) is None, "another model's speed is none of its own"
    assert speeds.speed("decoding") == pytest.approx(300)
    assert [(view.role, view.model, view.speed) for view in speeds.views] == [
        ("transcriber", "small", 40.0),
        ("transcriber", "large-v3-turbo", 20.0),
        ("aligner", "base", 60.0),
    ]


def test_a_files_length_is_guessed_from_its_kind_only() -> None:
    speeds = Speeds(Clock())
    speeds.note_size("/in/one.M4A", 8_000_000, 1000.0)
    assert speeds.length("/in/two.m4a", 4_000_000) == pytest.approx(500)
    assert speeds.length("/in/two.wav", 4_000_000) is None
    speeds.note_size("/in/Talk of 3.May, evening", 8_000_000, 1000.0)
    assert speeds.length("/in/Talk of 3.May, evening", 1) is None, "that is no suffix"


async def test_what_was_learned_is_written_with_the_jobs_end_and_known_after_a_restart(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    job = await queue.add("/in/a.m4a", JobOptions(), identity())
    await queue.claim_next()
    queue.speeds.note("transcribing", TURBO, 600.0, 30.0)
    queue.speeds.note_size("/in/a.m4a", 1_000_000, 600.0)
    await queue.move(job.id, "writing")
    assert not await queue._database.rows("SELECT 1 FROM speeds")
    await queue.move(job.id, "done")
    assert not queue.speeds.unwritten(), "once is enough"
    await queue.close()
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    assert queue.speeds.speed("transcribing", *TURBO.model_dump().values()) == pytest.approx(20)
    assert queue.speeds.length("/in/b.m4a", 500_000) == pytest.approx(300)
    await queue.close()


async def test_the_tables_do_not_grow_with_every_name_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "MOST_ROWS", 3)
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(), Clock())
    for number in range(6):
        queue.speeds.note_size(f"/in/a.{number:03}", 1000, 10.0)
    learned = queue.speeds.unwritten()
    await queue._database.write(lambda connection: store_speeds(connection, learned))
    assert [row[0] for row in await queue._database.rows("SELECT suffix FROM sizes")] == [".003", ".004", ".005"]
    await queue.close()


async def test_a_database_of_the_second_version_goes_on_with_all_its_jobs_and_learns(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(place)) as old:
        for script in database_file.SCHEMA_SCRIPTS[:2]:
            old.executescript(script.read_text("utf-8"))
        old.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 2")
        for status in ("done", "transcribing", "waiting"):
            old.execute(
                """INSERT INTO jobs (path, options, status, identity, created_at, watch, audio_seconds)
                VALUES (?, '{"model":"small"}', ?, ?, 5.0, '/w', 60.0)""",
                (f"/w/{status}.m4a", status, '{"device":1,"inode":2,"size":3,"mtime_ns":4}'),
            )
        old.execute("INSERT INTO errands (job_id, kind, event, due_at) VALUES (1, 'hook', 'done', 5.0)")
        old.commit()
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    assert [(job.status, job.watch) for job in await jobs_in(queue)] == [
        ("waiting", "/w"),
        ("waiting", "/w"),
        ("done", "/w"),
    ]
    assert len(await queue._database.rows("SELECT 1 FROM errands")) == 1
    assert queue.speeds.views == ()
    queue.speeds.note("transcribing", SMALL, 60.0, 3.0)
    claimed = await queue.claim_next()
    assert claimed is not None
    await queue.move(claimed.id, "failed")
    await queue.close()
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    assert [view.speed for view in queue.speeds.views] == [20.0]
    assert (await queue._database.rows("PRAGMA user_version"))[0][0] == len(database_file.SCHEMA_SCRIPTS)
    await queue.close()


async def test_a_long_queue_is_judged_by_a_part_of_it(tmp_path: Path) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(), Clock())
    for number in range(25):
        await queue.add(f"/in/{number}.m4a", JobOptions(model="small"), identity(size=number))
    assert len(await queue.waiting_work(100)) == 25
    some = await queue.waiting_work(10)
    assert 5 <= len(some) <= 10
    assert max(work.size_bytes for work in some) > 20, "from its end as well"
    assert {work.options.model for work in some} == {"small"}
    await queue.close()


# --- the whole queue ---------------------------------------------------------------------------------------------

KNOWN = Expected(audio_seconds=600.0, decoding=300.0, transcribing=20.0, aligning=60.0)


def test_a_waiting_job_asks_each_worker_for_its_part() -> None:
    assert work_of(KNOWN) == Left(32.0, 10.0, 32.5)
    half = work_of(KNOWN, transcribed_seconds=300.0)
    assert half is not None and half.transcriber == pytest.approx(17.0)
    assert work_of(KNOWN, only_words=True) == Left(0.0, 10.0, 10.0)
    assert work_of(Expected(audio_seconds=600.0, aligning=60.0)) is None
    assert work_of(Expected(audio_seconds=None, transcribing=20.0, aligning=60.0)) is None
    assert work_of(Expected(audio_seconds=600.0, transcribing=20.0)) is None
    assert work_of(Expected(False, 600.0, transcribing=20.0)) == Left(30.0, 0.0, 30.0)


@pytest.mark.parametrize(
    ("running", "waiting", "jobs_waiting", "seconds"),
    [
        ([], [], 0, None),
        ([Left(10.0, 12.0, 12.0)], [], 0, 12.0),
        ([], [Left(30.0, 10.0, 31.0)] * 4, 4, 121.0),
        ([Left(10.0, 12.0, 12.0)], [Left(30.0, 10.0, 31.0)] * 4, 4, 131.0),
        # The aligner has more to do: the transcriber waits for it.
        ([Left(10.0, 40.0, 40.0)], [Left(30.0, 100.0, 100.0)] * 4, 4, 440.0),
        # A sample stands for the rest, and so do those that can be guessed.
        ([], [Left(30.0, 10.0, 30.0)] * 100, 1000, 30_000.0),
        ([], [*[Left(30.0, 10.0, 30.0)] * 19, None], 20, 600.0),
        # Where too little is known, nothing is said.
        ([], [*[Left(30.0, 10.0, 30.0)] * 4, None], 5, None),
        ([None], [Left(30.0, 10.0, 30.0)], 1, None),
        ([Left(10.0, 12.0, 12.0)], [], 3, None),
        ([Left(10.0, 12.0, 12.0), None], [], 0, None),
    ],
)
def test_the_queue_ends_with_the_worker_that_has_more_to_do(
    running: list[Left | None], waiting: list[Left | None], jobs_waiting: int, seconds: float | None
) -> None:
    assert seconds_for_all(running, waiting, jobs_waiting) == (None if seconds is None else pytest.approx(seconds))
