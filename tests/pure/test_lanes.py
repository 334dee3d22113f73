"""How a batch is shared out to lanes that decode side by side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.lanes import Lanes, lanes_for, share_out


@pytest.mark.parametrize(
    ("threads", "lanes"),
    [(0, Lanes(1, 0)), (1, Lanes(1, 1)), (2, Lanes(2, 1)), (3, Lanes(2, 1)), (4, Lanes(2, 2)), (8, Lanes(2, 4))],
)
def test_a_processor_decodes_in_two_lanes_as_soon_as_there_are_two_threads(threads: int, lanes: Lanes) -> None:
    assert lanes_for(threads, "cpu") == lanes


def test_a_gpu_takes_the_whole_batch() -> None:
    assert lanes_for(4, "cuda") == Lanes(1, 4)


@given(st.lists(st.integers(1, 3000), max_size=40), st.integers(1, 5))
def test_every_chunk_goes_to_one_lane_and_no_lane_has_two_more_than_another(lengths: list[int], lanes: int) -> None:
    shares = share_out(lengths, lanes)
    assert sorted(place for share in shares for place in share) == list(range(len(lengths)))
    sizes = [len(share) for share in shares]
    assert len(sizes) == min(lanes, len(lengths))
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=40), st.integers(2, 5))
def test_a_lane_has_its_longest_first_and_all_it_has_is_longer_than_what_the_next_has(
    lengths: list[int], lanes: int
) -> None:
    in_order = [lengths[place] for share in share_out(lengths, lanes) for place in share]
    assert in_order == sorted(lengths, reverse=True)


def test_of_an_odd_batch_the_lane_with_the_short_ones_has_one_more() -> None:
    assert share_out([5, 30, 10, 20, 25], 2) == [[1, 4], [3, 2, 0]]
