"""Deadlines: kept with others, forgiven for our own absence, once.

Runs in: the test process.
"""

import asyncio
import time

import pytest

from supervisor.system import deadline as patience
from supervisor.system.deadline import wait_for


async def test_what_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await wait_for(0.02, asyncio.Event().wait)


async def test_a_deadline_slept_through_is_set_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "OVERSLEPT_SECONDS", 0.1)
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopped_for_a_while() -> None:
        # The whole loop stands still, as under SIGSTOP; what came in meanwhile is seen only afterwards.
        time.sleep(0.3)
        loop.call_later(0.02, arrived.set)

    loop.call_later(0.01, stopped_for_a_while)
    assert await wait_for(0.1, arrived.wait)


async def test_a_second_nap_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "OVERSLEPT_SECONDS", 0.1)
    loop = asyncio.get_running_loop()
    for nap_at in (0.01, 0.4):
        loop.call_later(nap_at, time.sleep, 0.3)
    with pytest.raises(TimeoutError):
        await wait_for(0.1, asyncio.Event().wait)
