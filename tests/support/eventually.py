"""Wait for a condition with a deadline: the only place in the tests that sleeps.

Runs in: the test process.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Truth = TypeVar("Truth")

BETWEEN_LOOKS_SECONDS = 0.02


def eventually(look: Callable[[], Truth], within_seconds: float = 10.0, what: str = "") -> Truth:
    """The first truthy answer of `look`; AssertionError with the last answer when there is none in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds} s: {what or look}; last answer {answer!r}")
        time.sleep(BETWEEN_LOOKS_SECONDS)


async def eventually_async(look: Callable[[], Truth], within_seconds: float = 10.0, what: str = "") -> Truth:
    """As `eventually`, leaving the event loop free between looks."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds} s: {what or look}; last answer {answer!r}")
        await asyncio.sleep(BETWEEN_LOOKS_SECONDS)
