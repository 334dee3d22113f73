"""Waiting with a deadline that does not count time in which this process itself was stopped.

Runs in: supervisor.

A supervisor that was stopped for half a minute finds every deadline passed, and the frames that would have met them
still in the pipe. It must not kill the worker for that (as in rails/solid_queue#559).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

OVERSLEPT_SECONDS = 3.0
"""If a deadline is noticed this late, the worker did not miss it: the loop itself was stopped."""


async def wait_for(seconds: float, wait: Callable[[], Awaitable[Answer]]) -> Answer:
    """Awaits `wait()` for at most `seconds`; raises TimeoutError. After a stop of this process the deadline restarts
    once."""
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
