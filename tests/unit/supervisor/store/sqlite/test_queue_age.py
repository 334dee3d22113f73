"""No wrong clock forgets a job, and none keeps what was to follow one from being done.

Runs in: the test process.
"""

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from eventually import eventually_async

from config.settings import QueueSettings
from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.history import prune_now_and_then
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.store.outbox import Event, NewFollowUp
from supervisor.store.speeds import Speeds
from supervisor.store.sqlite.queue_age import PLAUSIBLE_SECONDS, AgeRead, age_after

DAY = 86_400.0
IN_2026, IN_1970, IN_2099 = 1_790_000_000.0, 40.0, 4_090_000_000.0


@dataclass(slots=True)
class Clocks:
    """The one on the wall, which anybody may set, and the other."""

    wall: float = IN_2026
    steady: float = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class AHookFollows:
    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        return [NewFollowUp("hook", event)]

    def wake(self) -> None:
        pass


OPEN: list[JobQueue] = []


@pytest.fixture(autouse=True)
async def none_is_left_open() -> AsyncIterator[None]:
    """Its threads would keep the process from ending."""
    yield
    while OPEN:
        await OPEN.pop().close()


async def opened(place: Path, clocks: Clocks, days: float = 10.0) -> JobQueue:
    settings = QueueSettings(keep_finished_days=days)
    queue = await JobQueue.open(place / "jobs.sqlite3", settings, lambda: clocks.wall, lambda: clocks.steady)
    OPEN.append(queue)
    return queue


async def close(queue: JobQueue) -> None:
    OPEN.remove(queue)
    await queue.close()


async def finished(queue: JobQueue, count: int) -> None:
    for number in range(count):
        job = await queue.add(f"/x/{number}.mp3", JobOptions(), FileIdentity(1, 2, 3, 4))
        await queue.move(job.id, "failed")


async def known(queue: JobQueue) -> int:
    return sum((await queue.counts()).values())


@pytest.mark.parametrize("wrong", [IN_1970, IN_2099, IN_2026 + 100 * DAY, IN_2026 + 11 * DAY, 0.0])
@pytest.mark.parametrize("days", [0.3, 1.0, 10.0, 90.0])
async def test_a_start_with_a_wrong_clock_forgets_nothing(tmp_path: Path, wrong: float, days: float) -> None:
    clocks = Clocks()
    queue = await opened(tmp_path, clocks, days)
    await finished(queue, 3)
    await close(queue)
    for now in (wrong, IN_2026, wrong, IN_2026):
        clocks.wall, clocks.steady = now, 5.0
        queue = await opened(tmp_path, clocks, days)
        await finished(queue, 1)
        assert await queue.history.prune() == 0
        await close(queue)


async def test_a_clock_that_is_set_while_the_daemon_runs_forgets_nothing(tmp_path: Path) -> None:
    clocks = Clocks(wall=IN_1970)
    queue = await opened(tmp_path, clocks)
    await finished(queue, 3)
    for now in (IN_2026, IN_2099, IN_1970, IN_2099, IN_2026):
        clocks.wall = now
        clocks.steady += 60
        await finished(queue, 1)
        assert await queue.history.prune() == 0
    await close(queue)
    queue = await opened(tmp_path, clocks)
    assert await queue.history.prune() == 0
    await close(queue)


async def test_a_hundred_starts_with_any_clock_forget_nothing(tmp_path: Path) -> None:
    luck, clocks = random.Random(6), Clocks()
    queue = await opened(tmp_path, clocks)
    await finished(queue, 3)
    await close(queue)
    for _ in range(100):
        clocks.wall, clocks.steady = luck.uniform(0, IN_2099), luck.uniform(0, 1000)
        queue = await opened(tmp_path, clocks)
        clocks.steady += luck.uniform(0, 60)
        clocks.wall += luck.uniform(-DAY, DAY)
        assert await queue.history.prune() == 0
        await close(queue)


async def test_after_its_days_a_job_is_forgotten_also_when_the_clock_was_wrong_once(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = await opened(tmp_path, clocks)
    await finished(queue, 2)
    await close(queue)
    clocks.wall = IN_2099
    queue = await opened(tmp_path, clocks)
    await close(queue)
    clocks.wall = IN_2026
    queue = await opened(tmp_path, clocks)
    forgotten = 0
    for _ in range(4 * 11):
        clocks.pass_by(DAY / 4)
        forgotten += await queue.history.prune()
    assert forgotten == 2
    await close(queue)


async def test_a_machine_that_is_off_by_night_forgets_in_time(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = await opened(tmp_path, clocks, 28.0)
    await finished(queue, 1)
    days = 0
    while await known(queue):
        assert days < 30
        days += 1
        clocks.pass_by(DAY / 3)
        await queue.history.prune()
        await close(queue)
        clocks.wall, clocks.steady = clocks.wall + DAY * 2 / 3, 10.0
        queue = await opened(tmp_path, clocks, 28.0)
        await queue.history.prune()
    assert days in (28, 29)
    await close(queue)


async def test_a_job_that_something_is_still_to_follow_is_never_forgotten(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = await opened(tmp_path, clocks)
    queue.aftermath = AHookFollows()
    await finished(queue, 2)
    clocks.pass_by(1000 * DAY)
    assert await queue.history.prune() == 0
    owed = await queue.follow_ups.first("hook", skip=())
    assert owed is not None
    await queue.follow_ups.strike(owed)
    assert await queue.history.prune() == 1
    await close(queue)


async def test_what_was_put_off_while_the_clock_was_ahead_is_due_when_it_is_right_again(tmp_path: Path) -> None:
    clocks = Clocks(wall=IN_2099)
    queue = await opened(tmp_path, clocks)
    queue.aftermath = AHookFollows()
    await finished(queue, 2)
    first = await queue.follow_ups.first("hook", skip=())
    assert first is not None
    await queue.follow_ups.put_off(first, 1, clocks.wall + 30)
    clocks.wall = IN_2026
    for skip in ((), (first.id,)):
        due = await queue.follow_ups.first("hook", skip)
        assert due is not None and due.due_at <= clocks.wall
    await finished(queue, 1)
    fresh = await queue.follow_ups.first("hook", skip=())
    assert fresh is not None and fresh.due_at == clocks.wall, "none of them starves the other"
    await queue.follow_ups.put_off(fresh, 1, clocks.wall + 30)
    old = await queue.follow_ups.first("hook", skip=())
    assert old is not None and old.id != fresh.id, "nor does one that is put off again and again"
    await close(queue)


def test_what_was_measured_last_counts_as_the_last_whatever_the_clock_said() -> None:
    clocks = Clocks(wall=IN_2099)
    speeds = Speeds(lambda: clocks.wall)
    small, turbo = (EngineUsed(engine="mlx", model=model, device="metal") for model in ("small", "turbo"))
    speeds.note("transcribing", small, 1000.0, 10.0)
    clocks.wall = IN_1970
    speeds.note("transcribing", turbo, 1000.0, 20.0)
    assert speeds.speed("transcribing", "mlx", None, None) == 50.0


def test_a_clock_that_went_evenly_for_a_day_is_believed_again() -> None:
    ahead = AgeRead(0.0, IN_2099)
    assert age_after(ahead, IN_2026, 60.0, 60.0, DAY).wall == IN_2099
    assert age_after(ahead, IN_2026, 60.0, PLAUSIBLE_SECONDS, DAY).wall == IN_2026


async def test_a_folder_that_cannot_be_listed_does_not_end_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await opened(tmp_path, Clocks())
    looks: list[Path] = []

    def listed(database: Path) -> list[Path]:
        looks.append(database)
        raise OSError(errno.EMFILE, "Too many open files", str(database.parent))

    monkeypatch.setattr("supervisor.store.history.kept_copies", listed)
    monkeypatch.setattr("supervisor.store.history.PRUNE_SECONDS", 0.01)
    pruning = asyncio.create_task(prune_now_and_then(queue.history))
    await eventually_async(lambda: len(looks) >= 2, 5, "it tries again")
    pruning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pruning
