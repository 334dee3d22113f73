"""The system allows no more threads: what wanted one fails in words, nothing is left over, and it passes.

Runs in: the test process; the worker is a real child with a fake engine in the real shell.
"""

import asyncio
import errno
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path

import pytest
from eventually import eventually
from running_worker import ask, kept, request_for, setup_for

from ipc.worker_messages import WordsAligned
from supervisor.system import threads as disk_thread
from supervisor.system.threads import THREADS, TooFewThreads, preallocated_pool, run_detached

START = threading.Thread.start


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("had", [0, 1])
async def test_a_worker_that_gets_no_threads_for_its_line_is_a_failed_start_and_the_next_one_serves(
    had: int, three_chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = had

    def one_too_few(self: threading.Thread) -> None:
        nonlocal left
        if self.name.startswith("worker-"):
            if left == 0:
                monkeypatch.setattr(threading.Thread, "start", START)
                no_thread(self)
            left -= 1
        START(self)

    monkeypatch.setattr(threading.Thread, "start", one_too_few)
    async with kept([setup_for("aligner", "Echo", tmp_path)], tmp_path) as keeper:
        await keeper.wait_until_available()
        assert keeper.view.last_death is not None
        assert "can't start new thread" in keeper.view.last_death.reason
        assert isinstance((await ask(keeper, request_for("aligner", three_chunks)))[-1], WordsAligned)


async def test_a_look_at_a_disk_without_a_thread_fails_as_disks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    monkeypatch.setattr(disk_thread, "_IDLE", deque())
    with pytest.raises(OSError, match="can't start new thread") as refused:
        await run_detached(lambda: None)
    assert refused.value.errno == errno.EAGAIN


async def test_a_thread_that_is_done_with_one_disk_takes_the_next_and_ends_when_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_thread, "_IDLE", deque())
    monkeypatch.setattr(disk_thread, "IDLE_SECONDS", 0.5)
    first = await run_detached(threading.current_thread)
    with pytest.raises(OSError, match="no such disk"):
        await run_detached(partial(fail, OSError("no such disk")))
    assert await run_detached(threading.current_thread) is first
    other, _ = await asyncio.gather(run_detached(threading.current_thread), run_detached(partial(time.sleep, 0.1)))
    assert other is first
    first.join(10)
    assert await run_detached(threading.current_thread) is not first


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("had", [0, THREADS - 1])
def test_a_daemon_that_gets_too_few_threads_does_not_start_and_says_what_to_do(
    had: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = had

    def one_too_few(self: threading.Thread) -> None:
        nonlocal left
        if left == 0:
            no_thread(self)
        left -= 1
        START(self)

    before = threading.active_count()
    monkeypatch.setattr(threading.Thread, "start", one_too_few)
    with pytest.raises(TooFewThreads, match=r"can't start new thread: .*ulimit -u"):
        preallocated_pool()
    eventually(lambda: threading.active_count() == before, 10, "those that were there have left")


async def test_all_of_asyncios_threads_are_there_before_the_first_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with preallocated_pool() as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        waiting = threading.Barrier(THREADS)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            async with asyncio.timeout(10):
                await asyncio.gather(*(asyncio.to_thread(waiting.wait) for _ in range(THREADS)))
