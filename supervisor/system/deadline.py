"""Waiting with a deadline; one that may cost a worker its life does not count our own sleep.

Runs in: supervisor.

A supervisor that was stopped for half a minute wakes to find every deadline passed and the frames that would have met
them still in the pipe. Killing for that would punish the worker for our absence (rails/solid_queue#559 did).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

OVERSLEPT_SECONDS = 3.0
"""A deadline noticed so much too late was not missed by the worker: the loop itself was away."""


async def wait_for(seconds: float, wait: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `wait()` gives, at most `seconds` from now; raises TimeoutError. A deadline overslept is set once more."""
    loop = asyncio.get_running_loop()
    for another_chance in (True, False):
        due = loop.time() + seconds
        try:
            async with asyncio.timeout_at(due):
                return await wait()
        except TimeoutError:
            if not another_chance or loop.time() - due < OVERSLEPT_SECONDS:
                raise
    raise AssertionError("the second chance either returns or raises")


async def is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event is set within this many seconds; None: waits however long it takes."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
