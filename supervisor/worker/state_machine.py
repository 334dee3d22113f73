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
and ENDED come once it is reaped, so the next is never born before.
"""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal, assert_never

from ipc.status_views import WorkerState

State = Literal[
    "starting",
    "probing",  # half-open: one attempt of a broken worker, with the door still shut
    "ready",
    "busy",
    "backing_off",
    "broken",
    "replacing",  # the old process is leaving, a new one follows
    "unloading",
    "unloaded",
    "stopping",
    "stopped",
]

SHOWN_AS: dict[State, WorkerState] = {
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
"""What `steno status` calls it."""
ABLE: frozenset[WorkerState] = frozenset({"ready", "busy", "unloaded"})
"""Worker states that serve a request now."""


class Event(StrEnum):
    """All that can happen to a worker, but for `Died`."""

    WANTED = auto()
    """A request needs the worker to run."""
    NOT_WANTED_YET = auto()
    """It may wait until a request asks for it."""
    BECAME_READY = auto()
    """The worker said Ready."""
    REFUSED_TO_LOAD = auto()
    """The worker is well but has no engine, and has left."""
    TURNED_AWAY = auto()
    """The same, but only a job's own choice was not to be had: another engine may start at any time."""
    TAKEN = auto()
    """A request has the worker."""
    GIVEN_BACK = auto()
    """The request is over and the worker lives."""
    ENDED = auto()
    """The process has left as it was asked to."""
    DELAY_OVER = auto()
    """The wait before a restart has passed."""
    PROBE_DUE = auto()
    """A broken worker has rested long enough to be tried once."""
    UNLOAD_WANTED = auto()
    """No request for the keep-alive time, or the owner unloaded it."""
    REPLACEMENT_WANTED = auto()
    """A fresh process, or one with another engine, shall take over now."""
    STOP_WANTED = auto()
    """The supervisor is leaving."""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended unasked."""

    delay_seconds: float | None
    """Until the restart; None: it died too often."""


class Effect(StrEnum):
    """All that a transition can ask for, but for `RestartLater`."""

    SPAWN = auto()
    """Start a process."""
    END_PROCESS = auto()
    """Ask the process to leave, with force if need be; ENDED follows."""
    PROBE_LATER = auto()
    """PROBE_DUE after the time a broken worker rests, unless the state changes before."""
    UNLOAD_LATER = auto()
    """UNLOAD_WANTED after the time a worker may idle, unless the state changes before."""


@dataclass(frozen=True, slots=True)
class RestartLater:
    """DELAY_OVER in this many seconds, unless the state changes before."""

    seconds: float


AnyEvent = Event | Died
AnyEffect = Effect | RestartLater
Step = tuple[State, tuple[AnyEffect, ...]]


def step(state: State, event: AnyEvent) -> Step:
    """The next state and what to do about it. An event that means nothing in a state changes nothing."""
    stay: Step = (state, ())
    match event:
        case Event.WANTED:
            if state in ("stopped", "unloaded"):
                return "starting", (Effect.SPAWN,)
            return ("replacing", ()) if state == "unloading" else stay
        case Event.NOT_WANTED_YET:
            return ("unloaded", ()) if state == "stopped" else stay
        case Event.BECAME_READY:
            return ("ready", (Effect.UNLOAD_LATER,)) if state in ("starting", "probing") else stay
        case Event.REFUSED_TO_LOAD:
            return ("broken", (Effect.PROBE_LATER,)) if state in ("starting", "probing") else stay
        case Event.TURNED_AWAY:
            return ("unloaded", ()) if state in ("starting", "probing") else stay
        case Event.TAKEN:
            return ("busy", ()) if state == "ready" else stay
        case Event.GIVEN_BACK:
            return ("ready", (Effect.UNLOAD_LATER,)) if state == "busy" else stay
        case Died(delay_seconds=delay):
            return _after_death(state, delay)
        case Event.ENDED:
            return _after_end(state)
        case Event.DELAY_OVER:
            return ("starting", (Effect.SPAWN,)) if state == "backing_off" else stay
        case Event.PROBE_DUE:
            return ("probing", (Effect.SPAWN,)) if state == "broken" else stay
        case Event.UNLOAD_WANTED:
            return _unloaded(state)
        case Event.REPLACEMENT_WANTED:
            return _replaced(state)
        case Event.STOP_WANTED:
            return _stopped(state)
        case _:
            assert_never(event)


def _after_death(state: State, delay_seconds: float | None) -> Step:
    match state:
        case "starting" | "ready" | "busy" if delay_seconds is not None:
            return "backing_off", (RestartLater(delay_seconds),)
        case "starting" | "ready" | "busy" | "probing":
            return "broken", (Effect.PROBE_LATER,)
        case "replacing" | "unloading" | "stopping":
            # It was on its way out; how it went does not matter.
            return _after_end(state)
        case "backing_off" | "broken" | "unloaded" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _after_end(state: State) -> Step:
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


def _replaced(state: State) -> Step:
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


def _unloaded(state: State) -> Step:
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


def _stopped(state: State) -> Step:
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
