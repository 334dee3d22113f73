"""Everything around the supervisor of the virtual day: who hands over, who listens, and when something breaks.

Runs in: the virtual day's process.
"""

import asyncio
import gc
import itertools
import json
import os
import random
import signal
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chaos.daemon.oracle import Made, complaint_about_files, make
from chaos.simulation.caller import Caller
from chaos.simulation.event_loop import VirtualLoop
from chaos.simulation.findings import HOUR, Found, Hour
from chaos.simulation.troubles import Troubles
from chaos.simulation.workers import Fates, VirtualWorkers

NIGHT_SHARE, LAST_HOUR = 0.25, 1.0
API_EVERY, FOLDER_EVERY, PEOPLE_EVERY = 480.0, 600.0, 900.0
GIVEN_UP = ("aligner_crashed", "aligner_timeout")
"""Why a segment keeps its own times, as the policy says; chance may hit one twice in a row."""


class World:
    """Everything around the supervisor: who hands over, who listens."""

    def __init__(self, home: Path, hours: float, seed: int) -> None:
        self.home = home
        self.length = hours * HOUR
        self.found = Found()
        self.luck = random.Random(seed)
        self.fates = Fates(random.Random(f"{seed} fates"))
        self.workers = VirtualWorkers(self.fates)
        self.made: dict[str, Made | None] = {}
        """By the stem of the recording; None: its result was looked at, and is right."""
        self.statuses: dict[int, str] = {}
        self.endings: Counter[int] = Counter()
        """Of each job, how often it was told to be done in the first place."""
        self.given_up = 0
        """Recordings with a segment that lost its aligner again and again."""
        self.hours: list[Hour] = []
        self.prunings: list[float] = []
        self.looks = array("d")
        self.holders: list[Holder] = []
        self.heartbeats = array("d")
        self.socket = home / "run" / "stenod.sock"
        self.caller = Caller(self.socket, self.found)
        self.troubles = Troubles(home, self.luck, self.workers, self.caller, self.found)
        self.loop: VirtualLoop

    @property
    def disk_is_full(self) -> bool:
        return self.troubles.disk_is_full

    @property
    def slept(self) -> list[tuple[float, float]]:
        return self.troubles.slept

    # --- its course ------------------------------------------------------------------------------------------

    def begin(self, loop: VirtualLoop) -> None:
        """With the first turn of the supervisor's loop."""
        self.loop = loop
        loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._living = self.loop.create_task(self._live(), name="the day")

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.loop.now))

    async def _live(self) -> None:
        """Whatever happens, the daemon is asked to leave in the end."""
        try:
            listening = asyncio.create_task(self._listen(), name="the day's listener")
            hourly = asyncio.create_task(self._each_hour(), name="the day's hours")
            async with asyncio.TaskGroup() as parts:
                for part in (self._over_the_api(), self._into_folders(), self._troubles(), self._people()):
                    parts.create_task(part, name="a part of the day")
            await self._until_all_done()
            await self._until(self.length)
            for task in (listening, hourly):
                task.cancel()
        except BaseException as error:  # noqa: BLE001  the day's own boundary: the row wants to hear of it
            self.found.wrong.append(f"the day broke at {self.loop.now / HOUR:.2f} h: {error!r}")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    async def _during_work(self, every_seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        await self._until(self.length * NIGHT_SHARE)
        while True:
            await asyncio.sleep(self.luck.expovariate(1 / every_seconds))
            if self.loop.now > self.length - LAST_HOUR * HOUR:
                return
            await act()

    async def _over_the_api(self) -> None:
        await self._during_work(API_EVERY, self._submit)

    async def _submit(self) -> None:
        made = self._recording(self.home / "recordings")
        answer = await self.caller.ask_until_taken("/v1/jobs", {"path": str(made.path), "options": {}})
        if self.luck.random() < 0.05:
            await asyncio.sleep(self.luck.uniform(0, 200))
            job_id = answer.json()["id"]
            if (await self.caller.ask("POST", f"/v1/jobs/{job_id}/cancel")).is_success:
                await self.caller.ask_until_taken(f"/v1/jobs/{job_id}/retry")

    async def _into_folders(self) -> None:
        await self._during_work(FOLDER_EVERY, self._drop)

    async def _drop(self) -> None:
        inbox = self.luck.choice([self.home / "Transcribe", self.home / "disk" / "inbox"])
        made = self._recording(self.home / "coming")
        while not inbox.is_dir():  # noqa: ASYNC110  it was unplugged; nobody tells us
            await asyncio.sleep(60)
        made.path.rename(inbox / made.path.name)

    def _recording(self, folder: Path) -> Made:
        number = self.luck.randrange(1 << 40)
        made = make(folder / f"{number}.wav", number % (1 << 32), chunks=self.luck.randint(1, 4))
        self.made[made.path.stem] = made
        return made

    async def _until_all_done(self) -> None:
        self.fates.crash = self.fates.hang = self.fates.crash_loading = self.fates.hang_loading = 0.0
        while self.loop.now < self.length:
            await self._retry_the_quarantined()
            if len(self.statuses) == len(self.made) and set(self.statuses.values()) == {"done"}:
                return
            await asyncio.sleep(60)

    async def _retry_the_quarantined(self) -> None:
        for job_id, status in list(self.statuses.items()):
            if status in ("failed", "cancelled"):
                await self.caller.ask("POST", f"/v1/jobs/{job_id}/retry")

    async def _people(self) -> None:
        """They look, pause, reload, restart, unload."""
        asks = itertools.cycle(
            [
                ("GET", "/v1/health?fresh=true"),
                ("POST", "/v1/queue/pause"),
                ("POST", "/v1/queue/resume"),
                ("GET", "/v1/status"),
                ("POST", "/v1/reload"),
                ("POST", "/v1/workers/transcriber/unload"),
                ("POST", "/v1/workers/aligner/restart"),
                ("GET", "/v1/examination"),
            ]
        )

        async def next_one() -> None:
            await self.caller.ask(*next(asks))
            os.kill(os.getpid(), signal.SIGHUP)

        await self._during_work(PEOPLE_EVERY, next_one)
        await self.caller.ask("POST", "/v1/queue/resume")

    async def _troubles(self) -> None:
        await self._until(self.length * NIGHT_SHARE + 600)
        await self.troubles.happen(self.loop, self.length * (1 - NIGHT_SHARE) - LAST_HOUR * HOUR - 1200)

    # --- who listens -----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while not self.socket.exists():  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_unix_connection(str(self.socket), limit=1 << 20)
        writer.write(b"GET /v1/events HTTP/1.1\r\nhost: steno\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b":"):
                self.heartbeats.append(self.loop.now)
            elif line.startswith(b"data:") and (job := json.loads(line[5:]).get("job")) is not None:
                await self._heard_of(job)
        self.found.wrong.append("the stream of events ended")

    async def _heard_of(self, job: dict[str, Any]) -> None:
        before = self.statuses.get(job["id"])
        self.statuses[job["id"]] = sys.intern(job["status"])
        if job["status"] == "done" and before != "done":
            self.endings[job["id"]] += 1
        stem = Path(job["path"]).stem
        given_up = job["degraded_reason"] in GIVEN_UP
        is_final = job["status"] == "done" and (job["timing"] == "word" or given_up)
        if is_final and (made := self.made[stem]) is not None:
            self.given_up += given_up
            if complaint := complaint_about_files(made, job, words=not given_up):
                self.found.changed += 1
                self.found.wrong.append(complaint)
            self.made[stem] = None

    async def _each_hour(self) -> None:
        turns = wake_ups = 0
        for number in itertools.count(1):
            await self._until(number * HOUR)
            gc.collect()
            self.hours.append(
                Hour(
                    sum(status == "done" for status in self.statuses.values()),
                    self.loop.wake_ups - wake_ups,
                    self.loop.turns - turns,
                    len(asyncio.all_tasks()),
                    threading.active_count(),
                    self.loop.timers,
                    sys.getallocatedblocks(),
                )
            )
            turns, wake_ups = self.loop.turns, self.loop.wake_ups
            print(f"hour {number}: {self.hours[-1]}", file=sys.stderr)


class Holder:
    """Stands where the program stands that keeps the machine awake."""

    def __init__(self) -> None:
        self.stdin = SimpleNamespace(close=lambda: None)
        self.returncode: int | None = None
        self._over = asyncio.Event()

    @property
    def lives(self) -> bool:
        return self.returncode is None

    async def wait(self) -> int:
        await self._over.wait()
        return 0

    def terminate(self) -> None:
        self.returncode = 0
        self._over.set()

    kill = terminate
