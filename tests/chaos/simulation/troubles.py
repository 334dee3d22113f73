"""What breaks around the supervisor of the virtual day, and for how long.

Runs in: the virtual day's process.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from chaos.simulation.caller import Caller
from chaos.simulation.event_loop import VirtualLoop
from chaos.simulation.findings import HOUR, Found
from chaos.simulation.workers import VirtualWorkers

ASLEEP_SECONDS = 1800.0


class Troubles:
    """What is wrong with the workers, the disk, a folder and the machine."""

    def __init__(
        self, home: Path, luck: random.Random, workers: VirtualWorkers, caller: Caller, found: Found
    ) -> None:
        self.disk_is_full = False
        self.slept: list[tuple[float, float]] = []
        """From when to when."""
        self._home = home
        self._luck = luck
        self._workers = workers
        self._caller = caller
        self._found = found

    async def happen(self, loop: VirtualLoop, seconds: float) -> None:
        """One after the other within so many virtual seconds, so that each shows what it does."""
        self._loop = loop
        troubles: Sequence[Callable[[float], Coroutine[Any, Any, None]]] = (
            self._aligner_down,
            self._model_missing,
            self._disk_full,
            self._folder_away,
            self._machine_asleep,
            self._transcriber_down,
        )
        span = seconds / len(troubles)
        for trouble in troubles:
            ends = loop.now + span
            self._found.faults += 1
            await trouble(min(0.4 * span, HOUR))
            await asyncio.sleep(max(0.0, ends - loop.now))

    async def _aligner_down(self, seconds: float) -> None:
        self._workers.fates.weather["aligner"] = "down"
        await self._caller.ask("POST", "/v1/workers/aligner/restart")
        await asyncio.sleep(seconds)
        self._workers.fates.weather["aligner"] = "fair"

    async def _transcriber_down(self, seconds: float) -> None:
        self._workers.fates.weather["transcriber"] = "down"
        await self._caller.ask("POST", "/v1/workers/transcriber/restart")
        await asyncio.sleep(seconds)
        self._workers.fates.weather["transcriber"] = "fair"

    async def _model_missing(self, seconds: float) -> None:
        self._workers.fates.weather["transcriber"] = "missing"
        await self._caller.ask("POST", "/v1/workers/transcriber/restart")
        await asyncio.sleep(seconds)
        self._workers.fates.weather["transcriber"] = "fair"

    async def _disk_full(self, seconds: float) -> None:
        self.disk_is_full = True
        await asyncio.sleep(seconds / 2)
        self.disk_is_full = False

    async def _folder_away(self, seconds: float) -> None:
        disk, drawer = self._home / "disk", self._home / "drawer"
        disk.rename(drawer)
        await asyncio.sleep(seconds)
        drawer.rename(disk)

    async def _machine_asleep(self, seconds: float) -> None:
        """While a worker works: nobody may be killed for what the clock says afterwards."""
        ends = self._loop.now + seconds
        for _ in range(3):
            while not self._workers.anybody_works and self._loop.now < ends:  # noqa: ASYNC110  nobody tells us
                await asyncio.sleep(5)
            self.slept.append((self._loop.now, self._loop.now + ASLEEP_SECONDS))
            self._loop.oversleep(ASLEEP_SECONDS)
            await asyncio.sleep(self._luck.uniform(200, 600))
