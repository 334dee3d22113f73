"""A slow engine is given little at a time, so that nobody takes it for a hung one."""

from hypothesis import given
from hypothesis import strategies as st

from workers.batch_pace import LONGEST_STEP_SECONDS, BatchPace


def test_the_first_batch_is_one_chunk_and_a_fast_engine_then_gets_all_it_likes() -> None:
    pace = BatchPace()
    assert pace.size(16) == 1
    assert pace.after(1, 0.5).size(16) == 16


def test_an_engine_that_needs_half_a_minute_a_chunk_gets_one_at_a_time() -> None:
    assert BatchPace().after(1, 30.0).size(16) == 1


def test_one_slow_batch_is_remembered() -> None:
    assert BatchPace().after(1, 9.0).after(2, 2.0).size(16) == 2


@given(st.integers(1, 64), st.floats(0, 1000), st.integers(1, 64))
def test_a_batch_is_at_least_one_chunk_and_is_expected_to_fit_into_a_step(
    chunks: int, seconds: float, most: int
) -> None:
    pace = BatchPace().after(chunks, seconds)
    size = pace.size(most)
    assert 1 <= size <= most
    assert size == 1 or size * seconds / chunks <= LONGEST_STEP_SECONDS * 1.001
