"""What is learned from jobs: weighed, kept across a restart, and turned into the end of a queue.

Runs in: the test process.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from asked_queue import jobs_in
from hypothesis import given
from hypothesis import strategies as st

from config.settings import QueueSettings, Settings
from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.disks.file_identity import FileIdentity
from supervisor.progress.forecast import Forecast
from supervisor.store.claims import Backlog
from supervisor.store.jobs import JobQueue
from supervisor.store.speeds import Rate, Speeds
from supervisor.store.sqlite import database as database_file
from supervisor.system.reload import LiveSettings
from supervisor.worker.circuit_breaker import EngineName

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
    assert an_hour.speed == pytest.approx(20)
    with_memo = an_hour.after(12.0, 12.0, NOW)
    assert with_memo.speed == pytest.approx(20, rel=0.1)
    slower = an_hour.after(HOUR, HOUR / 5, NOW)
    assert 5 < slower.speed < 20 / 2


@given(st.lists(st.tuples(st.floats(0.1, 40_000.0), st.floats(0.5, 100.0)), min_size=1, max_size=60))
def test_a_rate_lies_between_the_slowest_and_the_fastest_job(jobs: list[tuple[float, float]]) -> None:
    rate = Rate()
    for audio_seconds, speed in jobs:
        rate = rate.after(audio_seconds, audio_seconds / speed, NOW)
    speeds = [speed for _, speed in jobs]
    assert min(speeds) * 0.999 <= rate.speed <= max(speeds) * 1.001


# --- all of them -------------------------------------------------------------------------------------------------


def test_each_model_has_its_own_speed_and_an_unloaded_one_is_found_by_what_is_known_of_it() -> None:
    speeds = Speeds(Clock())
    speeds.note("transcribing", TURBO, 600.0, 30.0)
    speeds.note("transcribing", SMALL, 600.0, 15.0)
    speeds.note("aligning", EngineUsed(engine="whisperx", model="base", device="cpu"), 600.0, 10.0)
    assert speeds.speed("transcribing", "mlx", "large-v3-turbo", "metal") == pytest.approx(20)
    assert speeds.speed("transcribing", "mlx", "small", None) == pytest.approx(40)
    assert speeds.speed("transcribing", "mlx", None, None) == pytest.approx(40), "the default: what was used last"
    assert speeds.speed("transcribing", "whisperx", None, None) is None
    assert speeds.speed("transcribing", "mlx", "medium", None) is None, "another model's speed is none of its own"
    assert [(view.role, view.model, view.speed) for view in speeds.views] == [
        ("transcriber", "small", 40.0),
        ("transcriber", "large-v3-turbo", 20.0),
        ("aligner", "base", 60.0),
    ]


async def test_what_was_learned_is_written_with_the_jobs_end_and_known_after_a_restart(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    job = await queue.add("/in/a.m4a", JobOptions(), identity())
    await queue.claim_next()
    queue.speeds.note("transcribing", TURBO, 600.0, 30.0)
    await queue.move(job.id, "writing")
    assert not await queue._database.rows("SELECT 1 FROM speeds")
    await queue.move(job.id, "done")
    assert not queue.speeds.unwritten(), "once is enough"
    await queue.close()
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    assert queue.speeds.speed("transcribing", *TURBO.model_dump().values()) == pytest.approx(20)
    await queue.close()


async def test_what_the_fifth_version_knew_of_models_is_kept_and_the_rest_dropped(tmp_path: Path) -> None:
    place = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(place)) as old:
        for script in database_file.SCHEMA_SCRIPTS[:5]:
            old.executescript(script.read_text("utf-8"))
        old.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 5")
        old.execute("INSERT INTO speeds VALUES ('transcribing', 'mlx', 'small', 'metal', 600, 30, 5)")
        old.execute("INSERT INTO speeds VALUES ('decoding', '', '', '', 600, 2, 5)")
        old.execute("INSERT INTO sizes VALUES ('.m4a', 600, 1000000, 5)")
        old.commit()
    queue = await JobQueue.open(place, QueueSettings(), Clock())
    assert [(view.model, view.speed) for view in queue.speeds.views] == [("small", 20.0)]
    await queue.close()


async def test_a_database_of_the_second_version_keeps_all_its_jobs(tmp_path: Path) -> None:
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
    assert (await queue._database.rows("PRAGMA user_version"))[0][0] == len(database_file.SCHEMA_SCRIPTS)
    await queue.close()


# --- the whole queue ---------------------------------------------------------------------------------------------


async def test_the_backlog_is_counted_by_model_and_a_recording_is_usually_as_long_as_the_last_ones(
    tmp_path: Path,
) -> None:
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings(), Clock())
    assert await queue.backlog() == Backlog({}, None)
    for number in range(30):
        job = await queue.add(f"/in/{number}.m4a", JobOptions(), identity())
        await queue.claim_next()
        await queue.move(job.id, "writing", audio_seconds=9000.0 if number < 10 else 60.0)
        await queue.move(job.id, "done")
    for number in range(5):
        await queue.add(f"/in/new {number}.m4a", JobOptions(model="small" if number < 2 else None), identity())
    assert await queue.backlog() == Backlog({"small": 2, None: 3}, 60.0)
    await queue.close()


class Worker:
    """A worker with one configured engine and any model that a job names."""

    def __init__(self, engine: str, model: str) -> None:
        self.in_use = EngineName(engine, model, "cpu")

    def would_use(self, model: str | None = None) -> EngineName:
        return self.in_use._replace(model=model) if model else self.in_use

    def refusal(self) -> None:
        return None


def a_forecast(aligner: Worker | None = None) -> tuple[Forecast, Speeds]:
    speeds = Speeds(Clock())
    queue = SimpleNamespace(speeds=speeds)
    forecast = Forecast(queue, Worker("mlx", "small"), aligner, LiveSettings(Settings()))  # type: ignore[arg-type]
    speeds.note("transcribing", EngineUsed(engine="mlx", model="small", device="cpu"), 600.0, 30.0)
    return forecast, speeds


@pytest.mark.parametrize(
    ("running", "jobs", "usual", "seconds"),
    [
        ([], {}, 600.0, None),
        ([12.0], {}, None, 12.0),
        ([], {None: 4}, 600.0, 120.0),
        # Two jobs at the two workers end side by side.
        ([10.0, 12.0], {None: 3, "small": 1}, 600.0, 132.0),
        # Where something is not known, nothing is said.
        ([12.0], {None: 4}, None, None),
        ([12.0], {None: 4, "large": 1}, 600.0, None),
        ([12.0, None], {None: 4}, 600.0, None),
    ],
)
def test_the_queue_takes_as_long_as_all_its_jobs(
    running: list[float | None], jobs: dict[str | None, int], usual: float | None, seconds: float | None
) -> None:
    forecast, _ = a_forecast()
    assert forecast.queue_seconds(Backlog(jobs, usual), running) == seconds


def test_the_slower_of_two_workers_decides_when_the_queue_ends() -> None:
    forecast, speeds = a_forecast(Worker("whisperx", "base"))
    assert forecast.queue_seconds(Backlog({None: 4}, 600.0), []) is None, "an aligner that was never measured"
    speeds.note("aligning", EngineUsed(engine="whisperx", model="base", device="cpu"), 600.0, 60.0)
    assert forecast.queue_seconds(Backlog({None: 4}, 600.0), []) == 240.0
