"""(state, event) → (state, effects) for one worker: pure, no clock, no I/O.

Runs in: supervisor.

    stopped ─ Wanted → starting ─ BecameReady → ready ⇄ busy
    stopped ─ NotWantedYet → unloaded
    any of them ─ Died(delay) → backing_off ─ DelayOver → starting
                  Died(None), or RefusedToLoad → broken ─ ProbeDue → probing → ready | broken
    starting ─ TurnedAway → unloaded
    ready ─ UnloadWanted → unloading → unloaded ─ Wanted → starting
    a live worker ─ ReplacementWanted → replacing ─ Ended → starting
    anything ─ StopWanted → stopping → stopped

A process exists in starting, probing, ready, busy, replacing, unloading and stopping, and in no other state. `Died`
and `Ended` come once it is reaped, so the next is never born before.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request needs the worker to run."""


@dataclass(frozen=True, slots=True)
class NotWantedYet:
    """It may wait until a request asks for it."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The worker said Ready."""


@dataclass(frozen=True, slots=True)
class RefusedToLoad:
    """The worker is well but has no engine, and has left."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The same, but only a job's own choice was not to be had: another engine may start at any time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A request has the worker."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The request is over and the worker lives."""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended unasked."""

    delay_seconds: float | None
    """Until the restart; None: it died too often."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The process has left as it was asked to."""


@dataclass(frozen=True, slots=True)
class DelayOver:
    """The wait before a restart has passed."""


@dataclass(frozen=True, slots=True)
class ProbeDue:
    """A broken worker has rested long enough to be tried once."""


@dataclass(frozen=True, slots=True)
class UnloadWanted:
    """No request for so long that the memory is worth more, or its owner says so."""


@dataclass(frozen=True, slots=True)
class ReplacementWanted:
    """A fresh process, or one with another engine, shall take over now."""


@dataclass(frozen=True, slots=True)
class StopWanted:
    """The supervisor is leaving."""


Event = (
    Wanted
    | NotWantedYet
    | BecameReady
    | RefusedToLoad
    | TurnedAway
    | Taken
    | GivenBack
    | Died
    | Ended
    | DelayOver
    | ProbeDue
    | UnloadWanted
    | ReplacementWanted
    | StopWanted
)


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Ask the process to leave, with force if need be; `Ended` follows."""


@dataclass(frozen=True, slots=True)
class RestartLater:
    """`DelayOver` in so many seconds, unless the state changes before."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ProbeLater:
    """`ProbeDue` after the time a broken worker rests, unless the state changes before."""


@dataclass(frozen=True, slots=True)
class UnloadLater:
    """`UnloadWanted` after the time a worker may idle, unless the state changes before."""


Effect = Spawn | EndProcess | RestartLater | ProbeLater | UnloadLater
Step = tuple[State, tuple[Effect, ...]]


def step(state: State, event: Event) -> Step:
    """The next state and what to do about it. An event that means nothing in a state changes nothing."""
    stay: Step = (state, ())
    match event:
        case Wanted():
            if state in ("stopped", "unloaded"):
                return "starting", (Spawn(),)
            return ("replacing", ()) if state == "unloading" else stay
        case NotWantedYet():
            return ("unloaded", ()) if state == "stopped" else stay
        case BecameReady():
            return ("ready", (UnloadLater(),)) if state in ("starting", "probing") else stay
        case RefusedToLoad():
            return ("broken", (ProbeLater(),)) if state in ("starting", "probing") else stay
        case TurnedAway():
            return ("unloaded", ()) if state in ("starting", "probing") else stay
        case Taken():
            return ("busy", ()) if state == "ready" else stay
        case GivenBack():
            return ("ready", (UnloadLater(),)) if state == "busy" else stay
        case Died(delay_seconds=delay):
            return _after_death(state, delay)
        case Ended():
            return _after_end(state)
        case DelayOver():
            return ("starting", (Spawn(),)) if state == "backing_off" else stay
        case ProbeDue():
            return ("probing", (Spawn(),)) if state == "broken" else stay
        case UnloadWanted():
            return _unloaded(state)
        case ReplacementWanted():
            return _replaced(state)
        case StopWanted():
            return _stopped(state)
        case _:
            assert_never(event)


def _after_death(state: State, delay_seconds: float | None) -> Step:
    match state:
        case "starting" | "ready" | "busy" if delay_seconds is not None:
            return "backing_off", (RestartLater(delay_seconds),)
        case "starting" | "ready" | "busy" | "probing":
            return "broken", (ProbeLater(),)
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
            return "starting", (Spawn(),)
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
            return "replacing", (EndProcess(),)
        case "unloading":
            return "replacing", ()
        case "backing_off" | "broken" | "unloaded":
            return "starting", (Spawn(),)
        case "replacing" | "stopping" | "stopped":
            return state, ()
        case _:
            assert_never(state)


def _unloaded(state: State) -> Step:
    match state:
        case "starting" | "ready":
            return "unloading", (EndProcess(),)
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
            return "stopping", (EndProcess(),)
        case "replacing" | "unloading":
            return "stopping", ()
        case "backing_off" | "broken" | "unloaded":
            return "stopped", ()
        case "stopping" | "stopped":
            return state, ()
        case _:
            assert_never(state)
