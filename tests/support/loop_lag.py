"""How long the event loop was blocked while other work ran.

Runs in: the test process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 0.01
THREADS = Path("/proc/self/task")
"""The threads of this process; `schedstat` of each contains the nanoseconds it was ready to run without a core."""


@dataclass(slots=True)
class Lag:
    """The worst so far."""

    worst_seconds: float = 0.0
    worst_own_seconds: float = 0.0
    """Less what a thread of ours spent in line for a core: the rest is caused by our own code. Not subtracted on
    macOS, which does not report it."""


@asynccontextmanager
async def loop_lag() -> AsyncIterator[Lag]:
    """Measures until the block ends."""
    lag = Lag()

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        in_line = _seconds_in_line()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late_seconds = loop.time() - due
            before, in_line = in_line, _seconds_in_line()
            waited_seconds = sum(seconds - before.get(thread, 0.0) for thread, seconds in in_line.items())
            lag.worst_seconds = max(lag.worst_seconds, late_seconds)
            lag.worst_own_seconds = max(lag.worst_own_seconds, late_seconds - waited_seconds)

    ticking = asyncio.create_task(tick())
    try:
        yield lag
    finally:
        ticking.cancel()


def _seconds_in_line() -> dict[str, float]:
    """Of every thread: a thread that waits for a core may hold the GIL."""
    seconds = {}
    for thread in THREADS.iterdir() if THREADS.exists() else ():
        # It may have ended between the two reads.
        with contextlib.suppress(OSError):
            seconds[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return seconds
