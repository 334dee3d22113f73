"""Workers that are no processes: they load, work, crash, hang and stay deaf on the virtual clock.

Runs in: the virtual day's process.

A handle treats these as processes (`chaos.simulation.processes`). `chaos.simulation.engine` answers their requests;
how a request goes, and how it goes wrong, is decided here.
"""

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NoReturn, assert_never

from chaos.simulation.engine import Told, VirtualEngine
from ipc.pipe import BadFrame
from ipc.vocabulary import Phase, Role
from ipc.worker_messages import (
    Align,
    CachesReleased,
    Cancel,
    Decode,
    FromWorker,
    LoadFailed,
    Progress,
    Ready,
    Request,
    RequestFailed,
    Stop,
    ToWorker,
    Transcribe,
    WorkerSetup,
)

FIRST_PID = 1 << 24
"""No process of any system has such a number."""
BEAT_SECONDS = 20.0
"""Between two words of a worker that works."""
LOAD_SECONDS, REST_SECONDS = (4, 25), 0.3
BORN_BYTES, GROWN_BYTES = 200_000_000, (0, 4_000_000)

Weather = Literal["fair", "down", "missing"]
"""How a role's next births go: well, dead while loading, or without a model."""


@dataclass(slots=True)
class Fates:
    """What goes wrong, and how often."""

    luck: random.Random
    weather: dict[Role, Weather] = field(default_factory=lambda: {"transcriber": "fair", "aligner": "fair"})
    crash: float = 0.010
    hang: float = 0.002
    slow: float = 0.01
    """Five times as long, and still moving. All three are chances of each piece of work."""
    crash_loading: float = 0.03
    hang_loading: float = 0.01
    deaf: float = 0.2
    """To the polite stop and to SIGTERM."""


class VirtualWorkers:
    """All that ever lived."""

    def __init__(self, fates: Fates) -> None:
        self.fates = fates
        self.living: dict[int, VirtualWorker] = {}
        self.most_of_a_role = 0
        self.happened: Counter[str] = Counter()
        self.innocent: list[str] = []
        """Killed though they neither hung nor had been asked to leave."""
        self._pids = itertools.count(FIRST_PID)

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Raises ProcessLookupError."""
        if pid not in self.living:
            raise ProcessLookupError
        self.living[pid].get_signal(number)

    @property
    def anybody_works(self) -> bool:
        return any(worker.works for worker in self.living.values())

    def born(self, worker: "VirtualWorker") -> int:
        pid = next(self._pids)
        self.living[pid] = worker
        self.most_of_a_role = max(self.most_of_a_role, *Counter(one.role for one in self.living.values()).values())
        return pid


class VirtualWorker:
    """One life. Stands where multiprocessing's process stands."""

    def __init__(self, all_of_them: VirtualWorkers, setup: WorkerSetup) -> None:
        self.role = setup.role
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.inbox: asyncio.Queue[ToWorker] = asyncio.Queue()
        self.sentinel, self._life_line = os.pipe()
        self._all = all_of_them
        self._luck = all_of_them.fates.luck
        self._setup = setup
        self._engine = VirtualEngine(self._work, self._say)
        self._hangs = False
        self._asked_to_leave = False
        self._deaf = self._luck.random() < all_of_them.fates.deaf
        self._bytes = BORN_BYTES
        self._doing: tuple[int | None, Phase | Literal["at rest"]] = (None, "loading")

    # --- what multiprocessing is asked -----------------------------------------------------------------------

    def start(self) -> None:
        self.pid = self._all.born(self)

    def kill(self) -> None:
        if self.exitcode is None:
            self._end(-signal.SIGKILL)

    def join(self, seconds: float | None = None) -> None:
        """It ends at once."""

    def close(self) -> None:
        os.close(self.sentinel)

    def get_signal(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGKILL | signal.SIGTERM if not (self._hangs or self._asked_to_leave):
                self._all.innocent.append(f"{self.role} {self.pid} got {number.name} while {self._doing[1]}")
                self._end(-number)
            case signal.SIGKILL:
                self._end(-number)
            case signal.SIGTERM if not self._deaf:
                self._end(-number)
            case _:
                pass

    @property
    def works(self) -> bool:
        """It holds a request, and is well."""
        return self._doing[0] is not None and not self._hangs

    # --- its life --------------------------------------------------------------------------------------------

    def begin(self, heard: Callable[[FromWorker], None], ended: Callable[[BadFrame | None], None]) -> None:
        self._heard, self._ended = heard, ended
        self._loop = asyncio.get_running_loop()
        self._life = self._loop.create_task(self._live(), name=f"virtual {self.role}")

    def is_told(self, message: ToWorker) -> None:
        self._asked_to_leave |= isinstance(message, Stop)
        self.inbox.put_nowait(message)

    def _say(self, frame: FromWorker) -> None:
        self._loop.call_soon(self._heard, frame)

    def _end(self, exit_code: int) -> None:
        assert self.pid is not None
        del self._all.living[self.pid]
        self.exitcode = exit_code
        self._life.cancel()
        self._loop.call_soon(self._ended, None)
        os.close(self._life_line)

    async def _die(self, exit_code: int, why: str) -> NoReturn:
        self._all.happened[why] += 1
        self._end(exit_code)
        await asyncio.Event().wait()
        raise AssertionError("nobody lives on")

    async def _hang(self, why: str) -> NoReturn:
        self._all.happened[why] += 1
        self._hangs = True
        await asyncio.Event().wait()
        raise AssertionError("nothing ends this but a signal")

    async def _live(self) -> None:
        fates, weather = self._all.fates, self._all.fates.weather[self.role]
        await self._beats(self._luck.uniform(*LOAD_SECONDS))
        if weather == "missing":
            self._say(LoadFailed(code="needs_model", message="needs model small", hint="pull it"))
            await self._die(0, "births without a model")
        if weather == "down" or self._luck.random() < fates.crash_loading:
            await self._die(-signal.SIGSEGV, "deaths while loading")
        if self._luck.random() < fates.hang_loading:
            await self._hang("hangs while loading")
        loaded = Ready(
            engine=self._setup.engine, model="virtual", device="cpu", load_seconds=1.0, footprint_bytes=self._bytes
        )
        self._say(loaded)
        while True:
            self._doing = (None, "at rest")
            message = await self.inbox.get()
            match message:
                case Stop():
                    await self._leave()
                case Cancel():
                    pass
                case Decode() | Transcribe() | Align():
                    await self._serve(message)
                case _:
                    assert_never(message)

    async def _leave(self) -> NoReturn:
        if self._deaf:
            await self._hang("stops that nobody heard")
        await self._die(0, "clean exits")

    async def _serve(self, request: Request) -> None:
        try:
            final = await self._engine.serve(request)
        except Told:
            final = RequestFailed(request_id=request.request_id, code="cancelled", message="given up", hint="none")
        self._say(final)
        self._bytes += self._luck.randint(*GROWN_BYTES)
        self._loop.call_later(REST_SECONDS, self._rested)

    def _rested(self) -> None:
        if self.exitcode is None and not self._hangs:
            self._heard(CachesReleased(footprint_bytes=self._bytes))

    async def _work(self, request: Request, phase: Phase, span: tuple[int, int]) -> None:
        """What a piece of work takes, with all that may happen in it."""
        fates = self._all.fates
        self._doing = (request.request_id, phase)
        if self._luck.random() < fates.crash:
            kind = self._luck.choice((-signal.SIGSEGV, -signal.SIGKILL, -signal.SIGABRT, 0))
            await self._die(kind, f"deaths at work ({'exit 0' if kind == 0 else signal.Signals(-kind).name})")
        if self._luck.random() < fates.hang:
            await self._hang("hangs at work")
        factor = 1.0
        if self._luck.random() < fates.slow:
            self._all.happened["slow pieces of work"] += 1
            factor = 5.0
        await self._beats(factor * self._luck.uniform(*span))

    async def _beats(self, seconds: float) -> None:
        """Time passes, and the worker says so. Raises Told."""
        request_id, phase = self._doing
        assert phase != "at rest"
        left = seconds
        while left > 0:
            beat = min(left, BEAT_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(beat):
                    match await self.inbox.get():
                        case Stop():
                            await self._leave()
                        case Cancel(request_id=given_up) if given_up == request_id:
                            raise Told
            left -= beat
            self._say(Progress(request_id=request_id, phase=phase, footprint_bytes=self._bytes))
