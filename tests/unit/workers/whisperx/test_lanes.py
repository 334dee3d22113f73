"""What a free lane takes of the chunks that wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.whisperx.lanes import Lanes, lanes_for, next_group


@pytest.mark.parametrize(
    ("threads", "lanes"),
    [(0, Lanes(1, 0)), (1, Lanes(1, 1)), (2, Lanes(2, 1)), (3, Lanes(3, 1)), (4, Lanes(2, 2)), (8, Lanes(2, 4))],
)
def test_a_processor_decodes_in_two_lanes_as_soon_as_there_are_two_threads(threads: int, lanes: Lanes) -> None:
    assert lanes_for(threads, "cpu") == lanes


def test_a_gpu_takes_the_whole_batch() -> None:
    assert lanes_for(4, "cuda") == Lanes(1, 4)


WINDOWS = st.lists(st.sampled_from([1200, 1500, 1800, 2100, 2400, 2700, 3000]), min_size=1, max_size=40)


@given(WINDOWS, st.integers(1, 5), st.integers(1, 8), st.booleans())
def test_a_lane_takes_windows_of_one_length_the_oldest_of_them_first(
    windows: list[int], lanes: int, most: int, more_to_come: bool
) -> None:
    group = next_group(windows, lanes, most, more_to_come)
    assert 1 <= len(group) <= most
    alike = [place for place, window in enumerate(windows) if window == windows[group[0]]]
    assert group == alike[: len(group)]


@given(WINDOWS, st.integers(1, 5), st.integers(1, 8))
def test_towards_the_end_no_group_is_more_than_half_of_a_lanes_share_if_it_can_be_divided(
    windows: list[int], lanes: int, most: int
) -> None:
    group = next_group(windows, lanes, most, more_to_come=False)
    assert len(group) == 1 or sum(windows[place] for place in group) <= sum(windows) / lanes / 2


def test_the_oldest_goes_first_with_its_company_and_of_the_last_few_in_several_lanes_the_most_work() -> None:
    windows = [1200, 3000, 3000, 1200, 3000, 1200]
    assert next_group(windows, 2, 8, more_to_come=True) == [0, 3, 5]
    assert next_group([1200, *windows[1:5]], 2, 8, more_to_come=True) == [0, 3]
    assert next_group(windows, 2, 1, more_to_come=True) == [0]
    assert next_group(windows, 2, 8, more_to_come=False) == [0, 3]
    assert next_group([1200, 3000, 2100], 2, 8, more_to_come=False) == [1]
    assert next_group([1200, 3000, 2100], 1, 8, more_to_come=False) == [0]
    assert next_group([], 2, 8, more_to_come=False) == []
