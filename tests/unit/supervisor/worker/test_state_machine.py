"""A worker's states: what follows from what, and what never happens.

Runs in: the test process.
"""

from typing import get_args

import pytest
from hypothesis import strategies as any_
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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

STATES: tuple[LifecycleState, ...] = get_args(LifecycleState)


def walk(*events: AnyLifecycleEvent, start: LifecycleState = "stopped") -> tuple[LifecycleState, list[AnyEffect]]:
    """Where a row of events leads, and all that was to be done on the way."""
    state, done = start, list[AnyEffect]()
    for event in events:
        state, effects = step(state, event)
        done += effects
    return state, done


def test_a_worker_starts_serves_and_rests_ready() -> None:
    state, done = walk(
        LifecycleEvent.WANTED, LifecycleEvent.BECAME_READY, LifecycleEvent.TAKEN, LifecycleEvent.GIVEN_BACK
    )
    assert (state, done) == ("ready", [Effect.SPAWN, Effect.UNLOAD_LATER, Effect.UNLOAD_LATER])


def test_a_death_in_any_living_state_waits_and_starts_again() -> None:
    for state in ("starting", "ready", "busy"):
        assert walk(Died(0.5), LifecycleEvent.DELAY_OVER, start=state) == (
            "starting",
            [RestartLater(0.5), Effect.SPAWN],
        )


def test_a_death_too_many_breaks_it_and_one_probe_follows() -> None:
    assert walk(Died(None), LifecycleEvent.PROBE_DUE, start="busy") == ("probing", [Effect.PROBE_LATER, Effect.SPAWN])


def test_a_probe_that_gets_ready_opens_the_door_again() -> None:
    assert walk(LifecycleEvent.BECAME_READY, start="probing")[0] == "ready"


def test_a_probe_that_fails_is_broken_again_whatever_the_policy_says() -> None:
    assert walk(Died(0.25), start="probing") == ("broken", [Effect.PROBE_LATER])


def test_an_engine_that_refuses_to_load_is_broken_at_once() -> None:
    assert walk(LifecycleEvent.WANTED, LifecycleEvent.REFUSED_TO_LOAD) == (
        "broken",
        [Effect.SPAWN, Effect.PROBE_LATER],
    )


def test_a_replacement_starts_only_when_the_old_process_has_left() -> None:
    assert walk(LifecycleEvent.REPLACEMENT_WANTED, start="ready") == ("replacing", [Effect.END_PROCESS])
    assert walk(LifecycleEvent.ENDED, start="replacing") == ("starting", [Effect.SPAWN])


def test_an_idle_worker_is_unloaded_and_comes_back_when_wanted() -> None:
    state, done = walk(LifecycleEvent.UNLOAD_WANTED, LifecycleEvent.ENDED, LifecycleEvent.WANTED, start="ready")
    assert (state, done) == ("starting", [Effect.END_PROCESS, Effect.SPAWN])


def test_one_wanted_while_it_unloads_comes_back_once_it_has() -> None:
    state, done = walk(LifecycleEvent.UNLOAD_WANTED, LifecycleEvent.WANTED, LifecycleEvent.ENDED, start="ready")
    assert (state, done) == ("starting", [Effect.END_PROCESS, Effect.SPAWN])


def test_a_busy_worker_is_not_unloaded_and_one_that_still_loads_is() -> None:
    assert step("busy", LifecycleEvent.UNLOAD_WANTED) == ("busy", ())
    assert walk(LifecycleEvent.UNLOAD_WANTED, LifecycleEvent.ENDED, start="starting") == (
        "unloaded",
        [Effect.END_PROCESS],
    )


def test_one_that_is_not_wanted_yet_starts_when_it_is() -> None:
    assert walk(LifecycleEvent.NOT_WANTED_YET, LifecycleEvent.WANTED) == ("starting", [Effect.SPAWN])


def test_a_model_that_only_a_job_wanted_leaves_the_worker_unloaded_and_not_broken() -> None:
    assert walk(LifecycleEvent.WANTED, LifecycleEvent.TURNED_AWAY) == ("unloaded", [Effect.SPAWN])


@pytest.mark.parametrize("state", STATES)
def test_stop_ends_every_state_within_two_events(state: LifecycleState) -> None:
    assert walk(LifecycleEvent.STOP_WANTED, LifecycleEvent.ENDED, start=state)[0] == "stopped"


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_name_for_people(state: LifecycleState) -> None:
    assert SHOWN_AS[state]


REQUESTED_EVENTS: list[LifecycleEvent] = [
    LifecycleEvent.WANTED,
    LifecycleEvent.NOT_WANTED_YET,
    LifecycleEvent.TAKEN,
    LifecycleEvent.GIVEN_BACK,
    LifecycleEvent.DELAY_OVER,
    LifecycleEvent.PROBE_DUE,
    LifecycleEvent.UNLOAD_WANTED,
    LifecycleEvent.REPLACEMENT_WANTED,
    LifecycleEvent.STOP_WANTED,
]
LIVING: tuple[LifecycleState, ...] = ("starting", "probing", "ready", "busy", "replacing", "unloading", "stopping")


class OneProcess(RuleBasedStateMachine):
    """Whatever comes in whatever order: never two processes, never none where the state claims one."""

    def __init__(self) -> None:
        super().__init__()
        self.state: LifecycleState = "stopped"
        self.processes = 0
        self.leaving = False

    def happen(self, event: AnyLifecycleEvent) -> None:
        self.state, effects = step(self.state, event)
        for effect in effects:
            if effect is Effect.SPAWN:
                self.processes += 1
                self.leaving = False
            if effect is Effect.END_PROCESS:
                assert self.processes == 1, "nothing to end"
                assert not self.leaving, "asked to leave twice"
                self.leaving = True

    @rule(event=any_.sampled_from(REQUESTED_EVENTS))
    def a_caller_wants_something(self, event: LifecycleEvent) -> None:
        self.happen(event)

    @precondition(lambda self: self.processes == 1 and not self.leaving)
    @rule(delay=any_.sampled_from([None, 0.25]))
    def it_dies(self, delay: float | None) -> None:
        self.processes = 0
        self.happen(Died(delay))

    @precondition(lambda self: self.state in ("starting", "probing"))
    @rule(
        what=any_.sampled_from(
            [LifecycleEvent.BECAME_READY, LifecycleEvent.REFUSED_TO_LOAD, LifecycleEvent.TURNED_AWAY]
        )
    )
    def it_has_loaded_or_not(self, what: LifecycleEvent) -> None:
        if what is not LifecycleEvent.BECAME_READY:
            self.processes = 0
        self.happen(what)

    @precondition(lambda self: self.leaving)
    @rule()
    def it_has_left(self) -> None:
        self.processes = 0
        self.leaving = False
        self.happen(LifecycleEvent.ENDED)

    @invariant()
    def there_is_a_process_exactly_where_the_state_says_so(self) -> None:
        assert self.processes == (1 if self.state in LIVING else 0)


TestOneProcess = OneProcess.TestCase
