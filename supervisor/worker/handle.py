"""Keeps one worker alive and lends it out, one request at a time.

Runs in: supervisor.

`WorkerMonitor` keeps it alive; this is the door before it. Ask through `request`, wait with `wait_until_available`.
"""

import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NoReturn

import psutil
import structlog

from ipc.status_views import WorkerView
from ipc.vocabulary import Role
from ipc.worker_messages import Forget, Request, WorkerSetup
from supervisor.system.deadline import wait_for
from supervisor.system.reload import LiveSettings
from supervisor.system.turns import Turns
from supervisor.worker.availability import Availability
from supervisor.worker.child_process import WorkerGone, WorkerProcess
from supervisor.worker.circuit_breaker import CircuitBreaker, EngineName, WorkerUnavailable
from supervisor.worker.death import Death, KillReason
from supervisor.worker.idle_policy import MemoryGrowth, keep_alive_seconds, memory_limit_bytes
from supervisor.worker.instance import WorkerInstance
from supervisor.worker.monitor import WorkerMonitor
from supervisor.worker.replies import Replies
from supervisor.worker.spawner import Spawner
from supervisor.worker.state_machine import LifecycleEvent

log = structlog.get_logger()

REST_SECONDS = 5.0
"""For a worker to give its caches back after a request. One that takes longer shows it at the next request."""


class WorkerDied(Exception):
    """The worker died, or hung and was killed, while it held our request."""

    def __init__(self, death: Death) -> None:
        super().__init__(death.reason)
        self.death = death


class WorkerHandle:
    """One worker of one role: at most one process at any time, with one engine and one model in it."""

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        settings: LiveSettings,
        crash_folder: Path,
        spawner: Spawner,
        on_change: Callable[[WorkerView], None],
        *,
        model_folders: Sequence[Path] = (),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`setups`: the primary engine, then perhaps the fallback. `on_change` is told of every change of state.

        `model_folders` are where a missing model may appear.
        """
        self._machine = WorkerMonitor(setups, settings, crash_folder, spawner, on_change, jitter)
        self._machine.on_rested = self._replace_if_outgrown
        self._settings = settings
        self.availability = Availability(self._machine, model_folders, lambda: on_change(self.view))
        self._turns = Turns()
        self._paused: dict[str, WorkerProcess] = {}
        """PCM → the process that keeps what is needed to continue there."""
        self._request_ids = itertools.count(1)
        self._asked_for: Literal["restart", "unload"] | None = None
        """What is to become of the worker once the present request is over."""

    # --- what others ask of it -------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        return self._machine.role

    @property
    def primary_engine(self) -> str:
        return self._machine.breakers.primary.setup.engine

    @property
    def fallback_engine(self) -> str | None:
        fallback = self._machine.breakers.fallback
        return None if fallback is None else fallback.setup.engine

    @property
    def view(self) -> WorkerView:
        """The worker as it is now, with the engine that runs or is about to."""
        return self._machine.view

    def refusal(self, engine: str | None = None, model: str | None = None) -> WorkerUnavailable | None:
        """Why a request for this engine (None: the primary) would be refused immediately; None: it would not be.

        `model` is a job's own choice; None: as the settings say. What is not in the worker may be asked for again
        once it has rested; that request is its probe.
        """
        breaker = self._machine.breakers.find(engine, model)
        return None if breaker is None else self.availability.refusal(breaker)

    @property
    def in_use(self) -> EngineName:
        """What is in the worker now."""
        return self._machine.engine.name

    def would_use(self, model: str | None = None) -> EngineName:
        """What would serve a job that names this model; None: none."""
        stand_in = self.fallback_engine if self.is_worn_out(model) else None
        breaker = self._machine.breakers.find(stand_in, model)
        return EngineName(self.primary_engine, model, None) if breaker is None else breaker.name

    def is_worn_out(self, model: str | None = None) -> bool:
        """Whether the primary engine died too often or cannot work here. A missing model does not count."""
        refusal = self.refusal(None, model)
        return refusal is not None and refusal.is_for_the_fallback

    async def run(self) -> None:
        """Start the worker and keep it until `stop` or a cancel. Nothing that a worker does raises here."""
        await self._machine.run()

    async def stop(self) -> None:
        """End the worker, within `stop_seconds` and a little; running and waiting requests get WorkerUnavailable."""
        self.availability.close()
        await self._machine.stop()

    async def restart(self) -> None:
        """Forget the deaths of all engines and start the primary afresh.

        A busy worker is replaced when its request is over, so that no request pays for the asking; one that hangs
        falls to its own deadlines.
        """
        for breaker in self._machine.breakers:
            breaker.forget()
        if self._machine.state == "busy":
            self._asked_for = "restart"
            return
        self._machine.replace("restart asked for", self._machine.breakers.primary)

    async def unload(self) -> None:
        """End the process, after the request that it holds; the next request starts another. No fault, no death."""
        if self._machine.state == "busy":
            self._asked_for = "unload"
            return
        self._machine.happen(LifecycleEvent.UNLOAD_WANTED)

    def settings_changed(self) -> None:
        """They hold for a worker that is already idle too; what it was told at birth stays."""
        self._machine.mind_idleness()

    @contextmanager
    def in_hand(self, pcm: Path, *, reserved: bool = False) -> Iterator[None]:
        """Around all requests of one job: in between the worker is neither unloaded nor replaced for its size.

        Keeps no other request from the worker, unless `reserved`, which keeps it for urgent ones. Does not start it.
        At the end the worker forgets what is paused on `pcm`.
        """
        self._machine.in_hand += 1
        self._machine.mind_idleness()
        try:
            with self._turns.reserved() if reserved else ExitStack():
                yield
        finally:
            if (process := self._paused.pop(str(pcm), None)) is not None and not process.gone.is_set():
                process.send(Forget(pcm_path=str(pcm)))
            self._machine.in_hand -= 1
            self._machine.mind_idleness(from_now=True)
            self._replace_if_outgrown()

    async def wait_until_available(self) -> None:
        """Returns when a request would be served: ready, busy, or unloaded and only waiting to be asked."""
        await self._machine.reach("ready", "busy", "unloading", "unloaded")

    @asynccontextmanager
    async def request(
        self,
        request: Request,
        *,
        deadline_seconds: float,
        during_job: int | None = None,
        engine: str | None = None,
        model: str | None = None,
        urgent: bool = False,
    ) -> AsyncIterator[Replies]:
        """`async with handle.request(…) as replies: async for reply in replies: …`; the last reply is the final one.

        Waits for its turn, first come first served, and for the worker. An `urgent` request goes first, and lets one
        in progress that is not pause: its final reply is then `Paused`. `engine` None is the primary, `model` None
        that of the settings; another engine or model is put into the worker, where it stays until a job asks for
        a different one. A job's own model is the primary's: the fallback loads it only where it is `starter`.
        Leaving before the final reply cancels the request, and replaces a worker that does not take notice within
        `cancel_seconds`. Raises WorkerDied and WorkerUnavailable, on entry and while iterating.
        """
        async with self._turns.take(urgent=urgent) as turn:
            life, process = await self._borrow(self._machine.breakers.of(engine, model), during_job)
            life.during_job = life.last_job = during_job

            async def lost(verdict: KillReason | None) -> NoReturn:
                await self._lose(life, verdict)

            replies = Replies(
                process,
                request.model_copy(update={"request_id": next(self._request_ids)}),
                deadline_seconds=deadline_seconds,
                progress_seconds=self._settings.current.deadlines.progress_seconds,
                lost=lost,
            )
            self._paused.pop(request.pcm_path, None)
            turn.makes_way_by(replies.pause)
            try:
                yield replies
            finally:
                await self._give_back(life, replies)
                if replies.paused:
                    self._paused[request.pcm_path] = process

    # --- lending ---------------------------------------------------------------------------------------------

    async def _borrow(self, wanted: CircuitBreaker, during_job: int | None) -> tuple[WorkerInstance, WorkerProcess]:
        while True:
            if self._machine.stopping:
                raise WorkerUnavailable("stopping", f"the {self.role} is stopping", "start the daemon again")
            if (refusal := self.availability.refusal(wanted)) is not None:
                raise refusal
            if wanted is not self._machine.engine:
                if wanted.is_override:
                    # Should it be missing, a change from now on is a sign that it came.
                    self.availability.look_at_disk()
                self._machine.replace("another engine or model wanted", wanted)
            elif self._machine.state == "ready" and (life := self._machine.life) and (process := life.process):
                if not process.rested.is_set():
                    await _rest_of(process)
                    continue
                if life.last_job not in (None, during_job) and during_job is not None:
                    self._replace_if_outgrown(between_jobs=True)
                # Dead already, though its end is not yet dealt with: not to be charged to the next in line.
                if self._machine.state == "ready" and not process.gone.is_set():
                    self._machine.happen(LifecycleEvent.TAKEN)
                    return life, process
            elif self._machine.state in ("unloading", "unloaded"):
                self._machine.happen(LifecycleEvent.WANTED)
            await self._machine.change()

    async def _lose(self, life: WorkerInstance, verdict: KillReason | None) -> NoReturn:
        if verdict is not None:
            await life.kill_for(verdict)
        end = await life.outcome()
        if isinstance(end, Death):
            raise WorkerDied(end)
        raise WorkerUnavailable("stopping", f"the {self.role} was stopped", "ask again")

    async def _give_back(self, life: WorkerInstance, replies: Replies) -> None:
        """The request is over, one way or the other. A worker that does not listen any more is replaced."""
        heard = replies.finished
        try:
            if not heard and not life.is_over:
                heard = await replies.give_up(self._settings.current.deadlines.cancel_seconds)
        except WorkerGone:
            # It died instead, and no caller is left to be told; the next in line finds it dead, not ready.
            await life.outcome()
        finally:
            if life is self._machine.life and not life.is_over:
                self._take_back(life, deaf=not heard)

    def _take_back(self, life: WorkerInstance, *, deaf: bool) -> None:
        life.during_job = None
        life.requests_finished += 0 if deaf else 1
        asked_for, self._asked_for = self._asked_for, None
        self._machine.happen(LifecycleEvent.GIVEN_BACK)
        if deaf:
            self._machine.replace("cancel not answered", self._machine.engine)
        elif asked_for == "restart":
            self._machine.replace("restart asked for", self._machine.breakers.primary)
        elif asked_for == "unload":
            self._machine.happen(LifecycleEvent.UNLOAD_WANTED)
        else:
            self._replace_if_outgrown()

    # --- its size --------------------------------------------------------------------------------------------

    def _replace_if_outgrown(self, *, between_jobs: bool = False) -> None:
        """Between jobs only: when none holds on to it, or when it goes from one to the next."""
        machine, workers = self._machine, self._settings.current.workers
        free = between_jobs or (machine.in_hand == 0 and keep_alive_seconds(self.role, workers) != 0)
        process = machine.life.process if machine.life is not None and machine.state == "ready" else None
        if not free or process is None or not process.rested.is_set():
            return
        when_ready_bytes = process.footprint_when_ready_bytes
        limit_bytes = memory_limit_bytes(workers.memory_limit_mb, psutil.virtual_memory().total, when_ready_bytes)
        growth = MemoryGrowth(process.footprint_bytes or 0, when_ready_bytes, limit_bytes)
        if growth.is_too_much and machine.life is not None and machine.life.requests_finished:
            log.warning("worker_outgrew_its_limit", role=self.role, pid=process.pid, **asdict(growth))
            machine.replace("memory limit", machine.engine, f"replaced: {growth}")


async def _rest_of(process: WorkerProcess) -> None:
    try:
        await wait_for(REST_SECONDS, process.rested.wait)
    except TimeoutError:
        process.rested.set()
