"""A slow engine is given little at a time, so that nobody takes it for a hung one."""

from hypothesis import given
from hypothesis import strategies as st

from workers.batch_pace import LONGEST_BATCH_SECONDS, LONGEST_SILENCE_SECONDS, BatchPace, planned_size

HOUR = 3600.0


def test_the_first_batch_is_one_chunk_and_a_fast_engine_then_gets_all_it_likes() -> None:
    for pace in (BatchPace(), BatchPace(shows_life=True)):
        assert pace.size(16, HOUR) == 1
        assert pace.after(1, 0.5).size(16, HOUR) == 16


def test_an_engine_that_shows_life_gets_a_short_recording_at_once() -> None:
    assert BatchPace(shows_life=True).size(16, 120.0) == 16
    assert BatchPace().size(16, 120.0) == 1


def test_an_engine_that_needs_half_a_minute_a_chunk_gets_one_at_a_time_unless_it_shows_life() -> None:
    assert BatchPace().after(1, 30.0).size(16, HOUR) == 1
    assert BatchPace(shows_life=True).after(1, 30.0).size(16, HOUR) == 4


def test_one_slow_batch_is_remembered_and_forgotten_in_time() -> None:
    pace = BatchPace().after(1, 9.0)
    sizes = []
    for _ in range(12):
        pace = pace.after(2, 2.0)
        sizes.append(pace.size(16, HOUR))
    assert sizes[0] == 2
    assert sizes == sorted(sizes)
    assert sizes[-1] == 16


@given(st.booleans(), st.integers(1, 64), st.floats(0, 1000), st.integers(1, 64))
def test_a_batch_is_at_least_one_chunk_and_is_expected_to_fit_into_its_time(
    shows_life: bool, chunks: int, seconds: float, most: int
) -> None:
    size = BatchPace(shows_life).after(chunks, seconds).size(most, HOUR)
    longest_seconds = LONGEST_BATCH_SECONDS if shows_life else LONGEST_SILENCE_SECONDS
    assert 1 <= size <= most
    assert size == 1 or size * seconds / chunks <= longest_seconds * 1.001


def test_a_plan_knows_only_the_place_in_the_recording() -> None:
    assert [planned_size(4, heard, 400.0, shows_life=False) for heard in (0.0, 30.0, 300.0, 380.0)] == [1, 4, 2, 1]
    assert [planned_size(16, heard, 400.0, shows_life=True) for heard in (0.0, 30.0, 380.0)] == [1, 16, 16]
    assert planned_size(16, 0.0, 120.0, shows_life=True) == 16
