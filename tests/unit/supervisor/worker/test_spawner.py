"""The thread from which workers are started: replaced when it hangs, and never for longer than that."""

import asyncio
import threading
import time

import pytest

from supervisor.worker.spawner import Spawner

SHORT_SECONDS = 0.05


class SlowToReturn(threading.Thread):
    """Runs at once, while whoever started it learns of that only later."""

    def start(self) -> None:
        super().start()
        time.sleep(2 * SHORT_SECONDS)


async def _hangs(spawner: Spawner, until: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        await spawner.call(until.wait, SHORT_SECONDS)


async def test_a_thread_that_took_over_before_it_was_named_serves_all_calls_that_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spawner, until = Spawner(), threading.Event()
    monkeypatch.setattr(threading, "Thread", SlowToReturn)
    hanging = asyncio.create_task(_hangs(spawner, until))
    await asyncio.sleep(0)
    try:
        # It stands behind the call that hangs, so it is the first that the new thread finds.
        assert await spawner.call(lambda: "behind", 5.0) == "behind"
        await hanging
        assert [await spawner.call(lambda: "next", 5.0) for _ in range(3)] == ["next"] * 3
    finally:
        until.set()
        spawner.close()


async def test_a_thread_that_was_replaced_serves_no_further_call_once_it_wakes() -> None:
    spawner, until = Spawner(), threading.Event()
    try:
        await _hangs(spawner, until)
        until.set()
        servers = {await spawner.call(threading.get_ident, 5.0) for _ in range(20)}
        assert len(servers) == 1
    finally:
        spawner.close()
