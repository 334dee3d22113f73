"""Runs `state_machine` for one worker: transitions, their effects, timers, and what follows the end of a process.

Runs in: supervisor.

Everything here runs on the event loop. State changes only at an await, and a transition is complete before any other
code can see it.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

import structlog

from ipc.status_views import LastDeath, WorkerView
from ipc.worker_messages import LoadFailed, Ready, WorkerSetup
from supervisor.system.reload import LiveSettings
from supervisor.worker.child_process import WrittenOff
from supervisor.worker.circuit_breaker import CircuitBreaker, CircuitBreakers, is_calm
from supervisor.worker.death import Death
from supervisor.worker.idle_policy import keep_alive_seconds, seconds_until_unload
from supervisor.worker.instance import WorkerInstance
from supervisor.worker.spawner import Spawner
from supervisor.worker.state_machine import (
    SHOWN_AS,
    AnyEffect,
    AnyLifecycleEvent,
    Died,
    Effect,
    LifecycleEvent,
    LifecycleState,
    RestartLater,
    step,
)

log = structlog.get_logger()


class WorkerMonitor:
    """One worker: at most one process at any time, with one of the role's engines in it."""

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        settings: LiveSettings,
        crash_folder: Path,
        spawner: Spawner,
        on_change: Callable[[WorkerView], None],
        jitter: Callable[[], float],
    ) -> None:
        self.breakers = CircuitBreakers(setups)
        self.engine = self.breakers.primary
        """The engine that runs now or next."""
        self.state: LifecycleState = "stopped"
        self.stopping = False
        self.life: WorkerInstance | None = None
        """None: there is no process."""
        self.role = self.engine.setup.role
        self.in_hand = 0
        """The number of jobs that reserve the worker; above 0 it is not idle, even between two requests."""
        self.on_rested: Callable[[], None] = lambda: None
        """Called when the worker has reported its memory footprint after a request."""
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
        self._why_replaced: str | None = None
        """A note for the user, until the next event of the worker."""
        self.written_off = WrittenOff(self._one_ended_after_all)
        self._restarts = 0
        self._idle_since = 0.0

    @property
    def view(self) -> WorkerView:
        """The worker as `steno status` shows it."""
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
            refusal=engine.refusal.code if engine.refusal is not None else None,
            footprint_bytes=process.footprint_bytes if process is not None else None,
            written_off=self.written_off.pids,
            load_seconds=ready.load_seconds if ready is not None and self.state in ("ready", "busy") else None,
        )

    async def run(self) -> None:
        """Start the worker and keep it running until `stop` or a cancel. No failure of a worker raises here."""
        if self.stopping:
            return
        self._crash_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as self._tasks:
            # A worker that ends after each job is not started before the first one.
            self.happen(LifecycleEvent.NOT_WANTED_YET if self._keep_alive == 0 else LifecycleEvent.WANTED)
            try:
                await self.reach("stopped")
            finally:
                await self.stop()

    async def stop(self) -> None:
        """End the worker, within `stop_seconds` and a little."""
        self.stopping = True
        self.happen(LifecycleEvent.STOP_WANTED)
        await self.reach("stopped")

    async def reach(self, *states: LifecycleState) -> None:
        """Returns when the worker is in one of these states."""
        while self.state not in states:
            await self.change()

    async def change(self) -> None:
        """Returns at the next change of state."""
        await self._changed.wait()

    def replace(self, reason: str, engine: CircuitBreaker, note: str | None = None) -> None:
        """Start a new process with this engine when the current one has exited; `note` explains it to the user."""
        log.info(
            "worker_replaced", role=self.role, engine=engine.setup.engine, model=engine.setup.model, reason=reason
        )
        self.engine = engine
        self._note = self._why_replaced = note
        self.happen(LifecycleEvent.REPLACEMENT_WANTED)

    def mind_idleness(self, *, from_now: bool = False) -> None:
        """Start the idle timer of a worker without work, or cancel it while a job reserves the worker."""
        now = asyncio.get_running_loop().time()
        if from_now:
            self._idle_since = now
        if self.state != "ready":
            return
        self._stop_timer()
        if not self.in_hand and (left := seconds_until_unload(self._keep_alive, self._idle_since, now)) is not None:
            self._after(left, LifecycleEvent.UNLOAD_WANTED)

    def happen(self, event: AnyLifecycleEvent) -> None:
        """Make one transition with all its effects. A change of state cancels the timer of the old state."""
        before = self.state
        self.state, effects = step(before, event)
        if self.state == before:
            return
        self._stop_timer()
        for effect in effects:
            self._perform(effect)
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_change(self.view)

    def _perform(self, effect: AnyEffect) -> None:
        assert self._tasks is not None, "events come only while run() does"
        match effect:
            case Effect.SPAWN:
                crash_file = self._crash_folder / f"{self.role}.traceback"
                self.life = WorkerInstance(
                    self.engine.setup, crash_file, self._spawner, self._settings.current.deadlines
                )
                self._tasks.create_task(self._keep(self.life, self.engine))
            case Effect.END_PROCESS:
                assert self.life is not None
                self._tasks.create_task(self.life.leave())
            case RestartLater(seconds=seconds):
                log.info("worker_restart_scheduled", role=self.role, delay_seconds=round(seconds, 3))
                self._after(seconds, LifecycleEvent.DELAY_OVER)
            case Effect.PROBE_LATER:
                self._after(self._settings.current.restarts.probe_seconds, LifecycleEvent.PROBE_DUE)
            case Effect.UNLOAD_LATER:
                self.mind_idleness(from_now=True)
            case _:
                assert_never(effect)

    def _one_ended_after_all(self, were_too_many: bool) -> None:
        if were_too_many and not self.stopping:
            self.happen(LifecycleEvent.PROBE_DUE)
        self._on_change(self.view)

    @property
    def _keep_alive(self) -> float | None:
        return keep_alive_seconds(self.role, self._settings.current.workers)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _after(self, seconds: float, event: LifecycleEvent) -> None:
        def due() -> None:
            if event is LifecycleEvent.PROBE_DUE and self.written_off.are_too_many:
                self._after(seconds, event)
                return
            if event is LifecycleEvent.PROBE_DUE:
                # Both engines may be broken: the one whose probe was due first is next.
                broken = (breaker for breaker in self.breakers.configured if breaker.refusal)
                self.engine = min(broken, key=lambda breaker: breaker.probe_at, default=self.engine)
            self.happen(event)

        self._timer = asyncio.get_running_loop().call_later(seconds, due)

    async def _keep(self, life: WorkerInstance, engine: CircuitBreaker) -> None:
        """Run one process, then handle its end."""

        def became_ready(ready: Ready) -> None:
            engine.note_ready(ready)
            self._note = self._why_replaced
            if life.process is not None:
                life.process.on_rested = self.on_rested
            log.info(
                "worker_ready",
                role=self.role,
                engine=ready.engine,
                model=ready.model,
                load_seconds=round(ready.load_seconds, 3),
            )
            self.happen(LifecycleEvent.BECAME_READY)

        end: LoadFailed | Death | None = None
        try:
            end = await life.live(became_ready)
        except asyncio.CancelledError:
            self.stopping = True
            self.happen(LifecycleEvent.STOP_WANTED)
            raise
        finally:
            self.life = None
            self._handle_exit(life, engine, end)

    def _handle_exit(self, life: WorkerInstance, engine: CircuitBreaker, end: LoadFailed | Death | None) -> None:
        now = asyncio.get_running_loop().time()
        restarts = self._settings.current.restarts
        match end:
            case None:
                if life.process is not None and life.process.written_off:
                    self.written_off.add(life.process)
                self.happen(LifecycleEvent.ENDED)
            case LoadFailed():
                if engine.note_refusal(end, now, restarts):
                    event = "model_not_loaded" if engine.is_override else "worker_broken"
                    setup, why = engine.setup, {"code": end.code, "reason": end.message}
                    log.error(event, role=self.role, engine=setup.engine, model=setup.model, **why)
                falls_back_to_primary = self._switch_back_to_primary(engine)
                self.happen(LifecycleEvent.TURNED_AWAY if falls_back_to_primary else LifecycleEvent.REFUSED_TO_LOAD)
                if falls_back_to_primary and self._keep_alive != 0:
                    self.happen(LifecycleEvent.WANTED)
            case Death():
                calm = is_calm(now - life.born_at, life.requests_finished, restarts)
                delay_seconds = engine.note_death(end, now, self._jitter(), restarts, calm=calm)
                self._last_death = end.view
                self._note, self._why_replaced = f"restarting after: {end.reason}", None
                if end.written_off and life.process is not None:
                    self._why_replaced = self.written_off.add(life.process)
                    if self.written_off.are_too_many:
                        engine.note_unkillable(len(self.written_off.pids), now, restarts)
                        delay_seconds = None
                self._restarts += 1
                log.warning("worker_died", role=self.role, engine=engine.setup.engine, **end.facts)
                if delay_seconds is None:
                    log.error("worker_broken", role=self.role, engine=engine.setup.engine, deaths=len(engine.deaths))
                    if self._switch_back_to_primary(engine):
                        delay_seconds = 0.0
                self.happen(Died(delay_seconds))
            case _:
                assert_never(end)

    def _switch_back_to_primary(self, engine: CircuitBreaker) -> bool:
        """Switch back to the primary after an override or the fallback failed. Returns whether the primary is
        usable."""
        primary = self.breakers.primary
        if engine is primary:
            return False
        self.engine = primary
        return primary.refusal is None
