"""A slow engine is given little at a time, so that nobody takes it for a hung one."""

from hypothesis import given
from hypothesis import strategies as st

from workers.whisperx.lanes import LONGEST_SILENCE_SECONDS, Pace


def test_the_first_group_is_one_chunk_and_a_fast_engine_then_gets_all_it_likes() -> None:
    assert Pace().size(16) == 1
    assert Pace().after(1, 0.5).size(16) == 16


def test_an_engine_that_needs_half_a_minute_a_chunk_gets_one_at_a_time() -> None:
    assert Pace().after(1, 30.0).size(16) == 1


def test_one_slow_group_is_remembered_and_forgotten_in_time() -> None:
    pace = Pace().after(1, 9.0)
    sizes = []
    for _ in range(12):
        pace = pace.after(2, 2.0)
        sizes.append(pace.size(16))
    assert sizes[0] == 2
    assert sizes == sorted(sizes)
    assert sizes[-1] == 16


@given(st.integers(1, 64), st.floats(0, 1000), st.integers(1, 64))
def test_a_group_is_at_least_one_chunk_and_is_expected_to_fit_into_its_time(
    chunks: int, seconds: float, most: int
) -> None:
    size = Pace().after(chunks, seconds).size(most)
    assert 1 <= size <= most
    assert size == 1 or size * seconds / chunks <= LONGEST_SILENCE_SECONDS * 1.001
