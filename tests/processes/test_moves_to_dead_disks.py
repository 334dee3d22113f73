"""Recordings on their way into `done` folders of a disk that really dies: only theirs wait, and none is lost.

Runs in: the test process, with a file system in user space as that disk.
"""

import asyncio
import signal
from pathlib import Path

import pytest
from asked_queue import add_from_watch
from dead_disk import CAN_DIE, dead_disk
from eventually import eventually_async

from config.settings import QueueSettings, Settings
from config.watch_entry import WatchEntry
from ipc.api_messages import JobOptions
from supervisor.disks import foreign_disks
from supervisor.disks.file_identity import read_identity
from supervisor.disks.foreign_disks import ForeignDisks
from supervisor.followups.followups import MOVES_AT_ONCE, FollowUps
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings

pytestmark = pytest.mark.skipif(not CAN_DIE, reason="needs FUSE and root")


async def finish(queue: JobQueue, path: Path) -> Job:
    job = await add_from_watch(queue, str(path), JobOptions(), read_identity(path), str(path.parent))
    assert job is not None
    await queue.claim_next()
    await queue.move(job.id, "writing")
    return await queue.move(job.id, "done")


async def tries(queue: JobQueue) -> list[int]:
    rows = await queue._database.rows("SELECT tries FROM errands WHERE kind = 'move_recording' ORDER BY id")
    return [row["tries"] for row in rows]


async def test_done_folders_on_a_dead_disk_hold_up_no_other_move_and_keep_every_recording(tmp_path: Path) -> None:
    far, near = tmp_path / "far", tmp_path / "near"
    recordings = [folder / f"{n}.wav" for folder in (far, near) for n in range(MOVES_AT_ONCE + 1)]
    for path in recordings:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(path).encode())
    disk_is_gone = tmp_path / "disk"
    entries = {
        str(far): WatchEntry(path=far, done=disk_is_gone),
        str(near): WatchEntry(path=near, done=Path("done")),
    }
    touched = ForeignDisks(look_seconds=0.5, work_seconds=0.5)
    foreign_disks._OF_LOOP[asyncio.get_running_loop()] = touched
    queue = await JobQueue.open(tmp_path / "jobs.sqlite3", QueueSettings())
    errands = FollowUps(
        queue, JobBoard(EventBus()), RecordingLocks(), RecordingSearch(queue), LiveSettings(Settings()), entries.get
    )
    queue.aftermath = errands
    with dead_disk(disk_is_gone, recordings[0]) as disk:
        disk.send_signal(signal.SIGUSR1)
        running = asyncio.create_task(errands.run())
        for path in recordings:
            await finish(queue, path)
        await eventually_async(lambda: len(list((near / "done").glob("*"))) == MOVES_AT_ONCE + 1)
        for _ in range(1_000):
            if len(put_off := await tries(queue)) == MOVES_AT_ONCE + 1 and min(put_off) > 0:
                break
            await asyncio.sleep(0.01)
        assert len(put_off) == MOVES_AT_ONCE + 1 and min(put_off) > 0
        assert [silence.disk for silence in touched.silent] == [str(disk_is_gone)], "the sources' disk is well"
        running.cancel()
        await asyncio.wait([running])
        touched.close()
        await queue.close()
    assert sorted(far.iterdir()) == recordings[: MOVES_AT_ONCE + 1]
