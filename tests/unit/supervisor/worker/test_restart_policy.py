"""How long a worker that died waits, and when it is let rest.

Runs in: the test process.
"""

from hypothesis import given
from hypothesis import strategies as any_

from config.settings import RestartSettings
from supervisor.worker.circuit_breaker import deaths_that_count, delay_before_restart, is_calm

USUAL = RestartSettings()


def test_the_first_death_costs_no_wait_each_further_one_doubles_it_and_the_sixth_gives_up() -> None:
    waits = [delay_before_restart((0.0,) * deaths, 0.0, USUAL) for deaths in range(1, 7)]
    assert waits == [0.0, 0.25, 0.5, 1.0, 2.0, None]


def test_a_worker_that_had_been_calm_comes_back_at_once_however_often_it_died_before() -> None:
    deaths = deaths_that_count((97.0, 98.0, 99.0, 100.0), 101.0, was_calm=True, settings=USUAL)
    assert delay_before_restart(deaths, 0.0, USUAL) == 0.0


def test_the_wait_is_never_longer_than_allowed() -> None:
    patient = RestartSettings(deaths_allowed=5000)
    assert delay_before_restart((0.0,) * 4000, 0.0, patient) == 30.0


@given(deaths=any_.integers(1, 5), jitter=any_.floats(0, 1))
def test_chance_shortens_a_wait_by_a_quarter_at_most(deaths: int, jitter: float) -> None:
    full = delay_before_restart((0.0,) * deaths, 0.0, USUAL)
    shortened = delay_before_restart((0.0,) * deaths, jitter, USUAL)
    assert full is not None and shortened is not None
    assert 0.75 * full <= shortened <= full


def test_a_death_counts_for_two_minutes() -> None:
    assert deaths_that_count((0.0, 80.0), 121.0, was_calm=False, settings=USUAL) == (80.0, 121.0)


def test_a_worker_that_had_been_calm_starts_with_a_clean_slate() -> None:
    assert deaths_that_count((99.0, 100.0), 101.0, was_calm=True, settings=USUAL) == (101.0,)


def test_calm_takes_both_time_and_work() -> None:
    assert is_calm(60.0, 1, USUAL)
    assert not is_calm(59.0, 9, USUAL)
    assert not is_calm(9999.0, 0, USUAL)


@given(pauses=any_.lists(any_.floats(0, 300), max_size=60))
def test_a_worker_is_never_started_more_than_six_times_in_two_minutes(pauses: list[float]) -> None:
    now, deaths = 0.0, tuple[float, ...]()
    starts = [0.0]
    for pause in pauses:
        now += pause
        deaths = deaths_that_count(deaths, now, was_calm=False, settings=USUAL)
        wait = delay_before_restart(deaths, 0.5, USUAL)
        if wait is None:
            break
        now += wait
        starts.append(now)
    assert all(sum(start <= other <= start + 120.0 for other in starts) <= 7 for start in starts)
