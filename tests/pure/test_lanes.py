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


WINDOWS = st.lists(st.sampled_from([1200, 1500, 1800, 2100, 2400, 2700, 3000]), max_size=40)


@given(WINDOWS, st.integers(1, 5), st.integers(1, 8))
def test_every_chunk_is_in_one_group_of_windows_of_one_length(windows: list[int], lanes: int, most: int) -> None:
    groups = share_out(windows, lanes, most)
    assert sorted(place for group in groups for place in group) == list(range(len(windows)))
    assert all(1 <= len(group) <= most for group in groups)
    assert all(len({windows[place] for place in group}) == 1 for group in groups)


@given(WINDOWS, st.integers(1, 5), st.integers(1, 8))
def test_the_most_work_comes_first_and_none_is_more_than_a_lanes_share(
    windows: list[int], lanes: int, most: int
) -> None:
    work = [sum(windows[place] for place in group) for group in share_out(windows, lanes, most)]
    assert work == sorted(work, reverse=True)
    assert all(one <= max(sum(windows) / lanes, max(windows)) for one in work)


def test_two_lanes_divide_what_is_alike_and_one_lane_takes_it_whole() -> None:
    assert share_out([3000, 1200, 3000, 3000, 3000], 2, 4) == [[0, 3], [2, 4], [1]]
    assert share_out([3000, 1200, 3000, 3000, 3000], 1, 4) == [[0, 2, 3, 4], [1]]
    assert share_out([], 2, 4) == []
