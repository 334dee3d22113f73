"""Runs `worker_lifecycle` for one worker: transitions, their effects, timers, and what a life's end means.

Runs in: supervisor.

Everything here happens on the event loop: between two awaits nothing changes behind our back, and a transition is
over before anybody sees it.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

import structlog

from config.settings import Settings
from ipc.status_views import LastDeath, WorkerView
from ipc.worker_messages import LoadFailed, Ready, WorkerSetup
from supervisor.death import Death
from supervisor.engine_tally import EngineTally
from supervisor.restart_policy import is_calm
from supervisor.spawner import Spawner
from supervisor.worker_life import WorkerLife
from supervisor.worker_lifecycle import (
    SHOWN_AS,
    BecameReady,
    DelayOver,
    Died,
    Effect,
    Ended,
    EndProcess,
    Event,
    IdleTooLong,
    ProbeDue,
    ProbeLater,
    RefusedToLoad,
    ReplacementWanted,
    RestartLater,
    Spawn,
    State,
    StopWanted,
    UnloadLater,
    Wanted,
    step,
)

log = structlog.get_logger()


class WorkerMachine:
    """One worker: at most one process at any time, with one of the role's engines in it."""

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        settings: Settings,
        crash_folder: Path,
        spawner: Spawner,
        on_change: Callable[[WorkerView], None],
        jitter: Callable[[], float],
    ) -> None:
        self.engines = [EngineTally(setup) for setup in setups]
        self.engine = self.engines[0]
        """The one that runs, or runs next."""
        self.state: State = "stopped"
        self.stopping = False
        self.life: WorkerLife | None = None
        """None while there is no process."""
        self.role = self.engine.setup.role
        self._settings = settings
        self._crash_folder = crash_folder
        self._spawner = spawner
        self._on_change = on_change
        self._jitter = jitter
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._last_death: LastDeath | None = None
        self._note: str | None = None
        self._restarts = 0

    @property
    def view(self) -> WorkerView:
        """The worker as people see it."""
        engine, ready = self.engine, self.engine.ready
        process = self.life.process if self.life is not None else None
        return WorkerView(
            role=self.role,
            engine=engine.setup.engine,
            model=ready.model if ready is not None else engine.setup.model,
            device=ready.device if ready is not None else None,
            state=SHOWN_AS[self.state],
            pid=process.pid if process is not None else None,
            restarts=self._restarts,
            last_death=self._last_death,
            note=f"{engine.refusal.message}: {engine.refusal.hint}" if engine.refusal is not None else self._note,
            footprint_bytes=process.footprint_bytes if process is not None else None,
        )

    async def run(self) -> None:
        """Start the worker and keep it until it is stopped or we are cancelled. Nothing a worker does raises here."""
        if self.stopping:
            return
        self._crash_folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as self._tasks:
            self.happen(Wanted())
            try:
                await self.reach("stopped")
            finally:
                await self.stop()

    async def stop(self) -> None:
        """End the worker, within `stop_seconds` and a little."""
        self.stopping = True
        self.happen(StopWanted())
        await self.reach("stopped")

    async def reach(self, *states: State) -> None:
        """Returns when it is in one of these."""
        while self.state not in states:
            await self.change()

    async def change(self) -> None:
        """The next change of state."""
        await self._changed.wait()

    def replace(self, reason: str, engine: EngineTally) -> None:
        """A fresh process with this engine, as soon as the present one has left."""
        log.info("worker_replaced", role=self.role, engine=engine.setup.engine, reason=reason)
        self.engine = engine
        self._note = None
        self.happen(ReplacementWanted())

    def happen(self, event: Event) -> None:
        """One transition with all its effects. Timers belong to a state and go with it."""
        before = self.state
        self.state, effects = step(before, event)
        if self.state == before:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for effect in effects:
            self._perform(effect)
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_change(self.view)

    def _perform(self, effect: Effect) -> None:
        assert self._tasks is not None, "events come only while run() does"
        match effect:
            case Spawn():
                crash_file = self._crash_folder / f"{self.role}.traceback"
                self.life = WorkerLife(self.engine.setup, crash_file, self._spawner, self._settings.deadlines)
                self._tasks.create_task(self._keep(self.life, self.engine))
            case EndProcess():
                assert self.life is not None
                self._tasks.create_task(self.life.leave())
            case RestartLater(seconds=seconds):
                log.info("worker_restart_scheduled", role=self.role, delay_seconds=round(seconds, 3))
                self._after(seconds, DelayOver())
            case ProbeLater():
                self._after(self._settings.restarts.probe_seconds, ProbeDue())
            case UnloadLater():
                if self._settings.workers.keep_alive >= 0:
                    self._after(self._settings.workers.keep_alive, IdleTooLong())
            case _:
                assert_never(effect)

    def _after(self, seconds: float, event: Event) -> None:
        def due() -> None:
            if isinstance(event, ProbeDue):
                # Both engines may be broken: the one that has rested longest is next.
                self.engine = min(
                    (tally for tally in self.engines if tally.refusal), key=lambda tally: tally.probe_at
                )
            self.happen(event)

        self._timer = asyncio.get_running_loop().call_later(seconds, due)

    async def _keep(self, life: WorkerLife, engine: EngineTally) -> None:
        """One life, and what its end means."""

        def became_ready(ready: Ready) -> None:
            engine.note_ready(ready)
            self._note = None
            log.info("worker_ready", role=self.role, engine=ready.engine, load_seconds=round(ready.load_seconds, 3))
            self.happen(BecameReady())

        end: LoadFailed | Death | None = None
        try:
            end = await life.live(became_ready)
        except asyncio.CancelledError:
            self.stopping = True
            self.happen(StopWanted())
            raise
        finally:
            self.life = None
            self._bury(life, engine, end)

    def _bury(self, life: WorkerLife, engine: EngineTally, end: LoadFailed | Death | None) -> None:
        now = asyncio.get_running_loop().time()
        restarts = self._settings.restarts
        match end:
            case None:
                self.happen(Ended())
            case LoadFailed():
                engine.note_refusal(end, now, restarts)
                log.error(
                    "worker_broken", role=self.role, engine=engine.setup.engine, code=end.code, reason=end.message
                )
                self.happen(RefusedToLoad())
            case Death():
                calm = is_calm(now - life.born_at, life.requests_finished, restarts)
                delay_seconds = engine.note_death(end, now, self._jitter(), restarts, calm=calm)
                self._last_death = end.view
                self._note = f"restarting after: {end.reason}"
                self._restarts += 1
                log.warning(
                    "worker_died",
                    role=self.role,
                    engine=engine.setup.engine,
                    signal=end.signal,
                    exit_code=end.exit_code,
                    phase=end.phase,
                    cause=end.cause,
                    reason=end.reason,
                    during_job=end.during_job,
                )
                if delay_seconds is None:
                    log.error("worker_broken", role=self.role, engine=engine.setup.engine, deaths=len(engine.deaths))
                self.happen(Died(delay_seconds))
            case _:
                assert_never(end)
