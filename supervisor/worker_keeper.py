"""Keeps one worker alive and lends it out, one request at a time.

Runs in: supervisor.

`WorkerMachine` keeps it alive; this is the door before it. Ask through `request`, wait with `wait_until_available`.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import structlog

from config.settings import Settings
from ipc.status_views import WorkerView
from ipc.worker_messages import Request, Role, WorkerSetup
from supervisor.death import Death, Verdict
from supervisor.engine_tally import BROKEN, EngineTally, WorkerUnavailable
from supervisor.spawner import Spawner
from supervisor.worker_life import WorkerLife
from supervisor.worker_lifecycle import GivenBack, Taken, Wanted
from supervisor.worker_machine import WorkerMachine
from supervisor.worker_process import WorkerGone, WorkerProcess
from supervisor.worker_replies import Replies

__all__ = ["Death", "Replies", "WorkerDied", "WorkerKeeper", "WorkerUnavailable"]

log = structlog.get_logger()

BYTES_PER_MB = 1_000_000


class WorkerDied(Exception):
    """The worker died, or hung and was killed, while it held our request."""

    def __init__(self, death: Death) -> None:
        super().__init__(death.reason)
        self.death = death


class WorkerKeeper:
    """One worker of one role: at most one process at any time, with the primary engine or its fallback in it."""

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        settings: Settings,
        crash_folder: Path,
        spawner: Spawner,
        on_change: Callable[[WorkerView], None],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`setups`: the primary engine, then perhaps the fallback. `on_change` is told of every change of state."""
        self._machine = WorkerMachine(setups, settings, crash_folder, spawner, on_change, jitter)
        self._settings = settings
        self._turn = asyncio.Lock()
        self._request_ids = itertools.count(1)
        self._replace_for: str | None = None
        """Why the worker is to be replaced once the present request is over."""

    # --- what others ask of it -------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        return self._machine.role

    @property
    def primary_engine(self) -> str:
        return self._machine.engines[0].setup.engine

    @property
    def fallback_engine(self) -> str | None:
        return self._machine.engines[1].setup.engine if len(self._machine.engines) > 1 else None

    @property
    def view(self) -> WorkerView:
        """The worker as it is now, with the engine that runs or is about to."""
        return self._machine.view

    def refusal(self, engine: str | None = None) -> WorkerUnavailable | None:
        """Why a request for this engine (None: the primary) would be refused at once; None: it would not be.

        An engine that is not in the worker may be asked for again once it has rested for `probe_seconds`; that
        request is its probe.
        """
        tally = self._tally(engine)
        if tally is self._machine.engine:
            return tally.refusal if self._machine.state in ("broken", "probing") else None
        return tally.refusal if asyncio.get_running_loop().time() < tally.probe_at else None

    def is_worn_out(self) -> bool:
        """Whether the primary engine rests because it died too often, not for want of a model."""
        refusal = self.refusal()
        return refusal is not None and refusal.code == BROKEN

    async def run(self) -> None:
        """Start the worker and keep it until `stop` or a cancel. Nothing that a worker does raises here."""
        await self._machine.run()

    async def stop(self) -> None:
        """End the worker, within `stop_seconds` and a little; requests in hand and in line get WorkerUnavailable."""
        await self._machine.stop()

    async def restart(self) -> None:
        """Forget the deaths of all engines and start the primary afresh.

        A busy worker is replaced when its request is over, so that nobody pays for the asking; one that hangs falls
        to its own deadlines.
        """
        for engine in self._machine.engines:
            engine.forget()
        if self._machine.state == "busy":
            self._replace_for = "restart asked for"
            return
        self._machine.replace("restart asked for", self._machine.engines[0])

    async def wait_until_available(self) -> None:
        """Returns when a request would be served: ready, busy, or unloaded and only waiting to be asked."""
        await self._machine.reach("ready", "busy", "unloading", "unloaded")

    @asynccontextmanager
    async def request(
        self, request: Request, *, deadline_seconds: float, during_job: int | None = None, engine: str | None = None
    ) -> AsyncIterator[Replies]:
        """`async with keeper.request(…) as replies: async for reply in replies: …`; the last reply is the final one.

        Waits for its turn, first come first served, and for the worker. `engine` None is the primary; another
        engine's name puts that engine into the worker, where it stays until somebody asks for a different one.
        Leaving before the final reply cancels the request, and replaces a worker that does not take notice within
        `cancel_seconds`. Raises WorkerDied and WorkerUnavailable, on entry and while iterating.
        """
        async with self._turn:
            life, process = await self._borrow(self._tally(engine))
            life.during_job = during_job

            async def lost(verdict: Verdict | None) -> NoReturn:
                await self._lose(life, verdict)

            replies = Replies(
                process,
                request.model_copy(update={"request_id": next(self._request_ids)}),
                deadline_seconds=deadline_seconds,
                progress_seconds=self._settings.deadlines.progress_seconds,
                lost=lost,
            )
            try:
                yield replies
            finally:
                await self._give_back(life, replies)

    # --- lending ---------------------------------------------------------------------------------------------

    def _tally(self, engine: str | None) -> EngineTally:
        if engine is None:
            return self._machine.engines[0]
        return next(tally for tally in self._machine.engines if tally.setup.engine == engine)

    async def _borrow(self, wanted: EngineTally) -> tuple[WorkerLife, WorkerProcess]:
        while True:
            if self._machine.stopping:
                raise WorkerUnavailable("stopping", f"the {self.role} is stopping", "start the daemon again")
            if (refusal := self.refusal(wanted.setup.engine)) is not None:
                raise refusal
            if wanted is not self._machine.engine:
                self._machine.replace(f"{wanted.setup.engine} wanted", wanted)
            elif self._machine.state == "ready" and (life := self._machine.life) and (process := life.process):
                # Dead already, though its end is not yet dealt with: not to be charged to the next in line.
                if not process.gone.is_set():
                    self._machine.happen(Taken())
                    return life, process
            elif self._machine.state in ("unloading", "unloaded"):
                self._machine.happen(Wanted())
            await self._machine.change()

    async def _lose(self, life: WorkerLife, verdict: Verdict | None) -> NoReturn:
        if verdict is not None:
            await life.condemn(verdict)
        end = await life.outcome()
        if isinstance(end, Death):
            raise WorkerDied(end)
        raise WorkerUnavailable("stopping", f"the {self.role} was stopped", "ask again")

    async def _give_back(self, life: WorkerLife, replies: Replies) -> None:
        """The request is over, one way or the other. A worker that does not listen any more is replaced."""
        heard = replies.finished
        try:
            if not heard and not life.is_over:
                heard = await replies.give_up(self._settings.deadlines.cancel_seconds)
        except WorkerGone:
            # It died instead, and nobody is left to be told; the next in line finds it dead, not ready.
            await life.outcome()
        finally:
            if life is self._machine.life and not life.is_over:
                self._take_back(life, deaf=not heard)

    def _take_back(self, life: WorkerLife, *, deaf: bool) -> None:
        life.during_job = None
        life.requests_finished += 0 if deaf else 1
        limit_bytes = self._settings.workers.memory_limit_mb * BYTES_PER_MB
        footprint_bytes = life.process.footprint_bytes if life.process is not None else None
        reason, self._replace_for = self._replace_for, None
        self._machine.happen(GivenBack())
        if deaf:
            self._machine.replace("cancel not answered", self._machine.engine)
        elif reason is not None:
            self._machine.replace(reason, self._machine.engines[0])
        elif limit_bytes and (footprint_bytes or 0) > limit_bytes:
            self._machine.replace("memory limit", self._machine.engine)
