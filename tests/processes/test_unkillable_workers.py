"""A worker that hangs in the kernel: nobody can end it, so its life is over for us, and another takes its place.

No signal reaches it: the supervisor's SIGKILL is swallowed here, as the kernel keeps it for a process in state D.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from eventually import eventually_async
from running_worker import BRIEF, ask, kept, request_for, setup_for

from ipc.vocabulary import Role
from supervisor.worker import child_process as worker_start
from supervisor.worker.child_process import WorkerProcess
from supervisor.worker.handle import WorkerDied, WorkerHandle


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """The pids to which no signal comes through; at the end all are killed for real."""
    pids: set[int] = set()
    real = WorkerProcess._signal

    def swallowed(self: WorkerProcess, number: signal.Signals) -> None:
        if self.pid not in pids:
            real(self, number)

    monkeypatch.setattr(WorkerProcess, "_signal", swallowed)
    monkeypatch.setattr(worker_start, "WRITE_OFF_SECONDS", 0.5)
    yield pids
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


async def hung(keeper: WorkerHandle, out_of_reach: set[int], role: Role, pcm: Path) -> WorkerDied:
    await keeper.wait_until_available()
    pid = keeper.view.pid
    assert pid is not None
    out_of_reach.add(pid)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerDied) as died:
        await ask(keeper, request_for(role, pcm))
    return died.value


@pytest.mark.parametrize("role", ["transcriber", "aligner"])
async def test_another_worker_takes_the_place_of_one_that_cannot_be_killed(
    three_chunks: Path, tmp_path: Path, out_of_reach: set[int], role: Role
) -> None:
    async with kept([setup_for(role, "Echo", tmp_path)], tmp_path, BRIEF) as keeper:
        died = await hung(keeper, out_of_reach, role, three_chunks)
        assert died.death.written_off
        assert "cannot be killed" in died.death.reason or "could not be killed" in died.death.reason
        assert await ask(keeper, request_for(role, three_chunks)), "the next request is served"
        (pid,) = out_of_reach
        assert keeper.view.written_off == (pid,)
        assert keeper.view.pid not in (None, pid)
        os.kill(pid, signal.SIGKILL)  # the disk answers again
        await eventually_async(lambda: keeper.view.written_off == ())
        assert not psutil.pid_exists(pid), "no zombie stays"


async def test_so_many_and_no_more_are_started_until_one_of_them_ends(
    three_chunks: Path, tmp_path: Path, out_of_reach: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.worker.child_process.MOST_WRITTEN_OFF", 2)
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path, BRIEF) as keeper:
        for _ in range(2):
            await hung(keeper, out_of_reach, "aligner", three_chunks)
        await eventually_async(lambda: keeper.view.state == "broken")
        assert "hang in the kernel" in (keeper.view.note or "")
        os.kill(next(iter(out_of_reach)), signal.SIGKILL)
        await eventually_async(lambda: keeper.view.state == "ready", 20)
