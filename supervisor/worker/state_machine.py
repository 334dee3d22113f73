"""(state, event) → (state, effects) for one worker: pure, no clock, no I/O.

Runs in: supervisor.

    stopped ─ WANTED → starting ─ BECAME_READY → ready ⇄ busy
    stopped ─ NOT_WANTED_YET → unloaded
    any of them ─ Died(delay) → backing_off ─ DELAY_OVER → starting
                  Died(None), or REFUSED_TO_LOAD → broken ─ PROBE_DUE → probing → ready | broken
    starting ─ TURNED_AWAY → unloaded
    ready ─ UNLOAD_WANTED → unloading → unloaded ─ WANTED → starting
    a live worker ─ REPLACEMENT_WANTED → replacing ─ ENDED → starting
    anything ─ STOP_WANTED → stopping → stopped

A process exists in starting, probing, ready, busy, replacing, unloading and stopping, and in no other state. `Died`
and ENDED come after it is reaped, so the next process never starts before.
"""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal, assert_never

from ipc.status_views import WorkerState

LifecycleState = Literal[
    "starting",
    "probing",  # half-open: one attempt of a broken worker; requests are still refused
    "ready",
    "busy",
    "backing_off",
    "broken",
    "replacing",  # the old process is exiting, a new one follows
    "unloading",
    "unloaded",
    "stopping",
    "stopped",
]

SHOWN_AS: dict[LifecycleState, WorkerState] = {
    "starting": "starting",
    "probing": "broken",
    "ready": "ready",
    "busy": "busy",
    "backing_off": "backing_off",
    "broken": "broken",
    "replacing": "starting",
    "unloading": "unloaded",
    "unloaded": "unloaded",
    "stopping": "stopping",
    "stopped": "stopped",
}
"""The state as `steno status` shows it."""
ABLE: frozenset[WorkerState] = frozenset({"ready", "busy", "unloaded"})
"""Worker states that serve a request now."""


class LifecycleEvent(StrEnum):
    """Every event of a worker, except `Died`."""

    WANTED = auto()
    """A request needs the worker to run."""
    NOT_WANTED_YET = auto()
    """The worker need not start before a request."""
    BECAME_READY = auto()
    """The worker sent Ready."""
    REFUSED_TO_LOAD = auto()
    """The worker runs but its engine could not load, and it has exited."""
    TURNED_AWAY = auto()
    """The same, but for an override or the fallback: the primary engine may start at any time."""
    TAKEN = auto()
    """A request takes the worker."""
    GIVEN_BACK = auto()
    """The request is over and the worker is alive."""
    ENDED = auto()
    """The process has exited as requested."""
    DELAY_OVER = auto()
    """The wait before a restart has passed."""
    PROBE_DUE = auto()
    """A broken worker may be probed once."""
    UNLOAD_WANTED = auto()
    """The worker was idle too long, or the user unloads it."""
    REPLACEMENT_WANTED = auto()
    """A new process must take over: after a restart request, for another engine, or for too much memory."""
    STOP_WANTED = auto()
    """The supervisor is stopping."""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended unexpectedly."""

    delay_seconds: float | None
    """Seconds until the restart; None: it crashed too often."""


class Effect(StrEnum):
    """Every effect of a transition, except `RestartLater`."""

    SPAWN = auto()
    """Start a process."""
    END_PROCESS = auto()
    """Stop the process, with SIGKILL if necessary; ENDED follows."""
    PROBE_LATER = auto()
    """PROBE_DUE after `probe_seconds`, unless the state changes before."""
    UNLOAD_LATER = auto()
    """UNLOAD_WANTED after the keep-alive time, unless the state changes before."""


@dataclass(frozen=True, slots=True)
class RestartLater:
    """DELAY_OVER after this delay, unless the state changes before."""

    seconds: float


AnyLifecycleEvent = LifecycleEvent | Died
AnyEffect = Effect | RestartLater
Transition = tuple[LifecycleState, tuple[AnyEffect, ...]]


def step(state: LifecycleState, event: AnyLifecycleEvent) -> Transition:
    """The next state and its effects. An event without a meaning in a state changes nothing."""
    stay: Transition = (state, ())
    match event:
        case LifecycleEvent.WANTED:
            if state in ("stopped", "unloaded"):
                return "starting", (Effect.SPAWN,)
            return ("replacing", ()) if state == "unloading" else stay
        case LifecycleEvent.NOT_WANTED_YET:
            return ("unloaded", ()) if state == "stopped" else stay
        case LifecycleEvent.BECAME_READY:
            return ("ready", (Effect.UNLOAD_LATER,)) if state in ("starting", "probing") else stay
        case LifecycleEvent.REFUSED_TO_LOAD:
            return ("broken", (Effect.PROBE_LATER,)) if state in ("starting", "probing") else stay
        case LifecycleEvent.TURNED_AWAY:
            return ("unloaded", ()) if state in ("starting", "probing") else stay
        case LifecycleEvent.TAKEN:
            return ("busy", ()) if state == "ready" else stay
        case LifecycleEvent.GIVEN_BACK:
            return ("ready", (Effect.UNLOAD_LATER,)) if state == "busy" else stay
        case Died(delay_seconds=delay):
            return _after_death(state, delay)
        case LifecycleEvent.ENDED:
            return _after_end(state)
        case LifecycleEvent.DELAY_OVER:
            return ("starting", (Effect.SPAWN,)) if state == "backing_off" else stay
        case LifecycleEvent.PROBE_DUE:
            return ("probing", (Effect.SPAWN,)) if state == "broken" else stay
        case LifecycleEvent.UNLOAD_WANTED:
            return _unloaded(state)
        case LifecycleEvent.REPLACEMENT_WANTED:
            return _replaced(state)
        case LifecycleEvent.STOP_WANTED:
            return _stopped(state)
        case _:
            assert_never(event)


def _after_death(state: LifecycleState, delay_seconds: float | None) -> Transition:
    match state:
        case "starting" | "ready" | "busy" if delay_seconds is not None:
            return "backing_off", (RestartLater(delay_seconds),)
        case "starting" | "ready" | "busy" | "probing":
            return "broken", (Effect.PROBE_LATER,)
        case "replacing" | "unloading" | "stopping":
            # It was already stopping; how it ended does not matter.
            return _after_end(state)
        case "backing_off" | "broken" | "unloaded" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _after_end(state: LifecycleState) -> Transition:
    match state:
        case "replacing":
            return "starting", (Effect.SPAWN,)
        case "unloading":
            return "unloaded", ()
        case "stopping":
            return "stopped", ()
        case "starting" | "probing" | "ready" | "busy" | "backing_off" | "broken" | "unloaded" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _replaced(state: LifecycleState) -> Transition:
    match state:
        case "starting" | "probing" | "ready" | "busy":
            return "replacing", (Effect.END_PROCESS,)
        case "unloading":
            return "replacing", ()
        case "backing_off" | "broken" | "unloaded":
            return "starting", (Effect.SPAWN,)
        case "replacing" | "stopping" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _unloaded(state: LifecycleState) -> Transition:
    match state:
        case "starting" | "ready":
            return "unloading", (Effect.END_PROCESS,)
        case "replacing":
            return "unloading", ()
        case "backing_off":
            return "unloaded", ()
        case "probing" | "busy" | "broken" | "unloading" | "unloaded" | "stopping" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _stopped(state: LifecycleState) -> Transition:
    match state:
        case "starting" | "probing" | "ready" | "busy":
            return "stopping", (Effect.END_PROCESS,)
        case "replacing" | "unloading":
            return "stopping", ()
        case "backing_off" | "broken" | "unloaded":
            return "stopped", ()
        case "stopping" | "stopped":
            return state, ()
        case _:
            assert_never(state)
