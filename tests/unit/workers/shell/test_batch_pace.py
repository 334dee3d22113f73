"""Batches shrink towards the end of a recording, so that little is left to align when the last one comes."""

from workers.shell.requests import fewer_near_the_end, planned_size


def test_batches_are_whole_until_the_end_is_near_and_never_empty() -> None:
    assert fewer_near_the_end(4, 3600.0) == 4
    assert [fewer_near_the_end(4, seconds) for seconds in (160.0, 130.0, 90.0, 50.0, 10.0, 0.0)] == [4, 3, 2, 1, 1, 1]
    assert fewer_near_the_end(1, 3600.0) == 1


def test_a_plan_knows_only_the_place_in_the_recording() -> None:
    assert [planned_size(4, heard, 400.0, shows_life=False) for heard in (0.0, 30.0, 300.0, 380.0)] == [1, 4, 2, 1]
    assert [planned_size(16, heard, 400.0, shows_life=True) for heard in (0.0, 30.0, 380.0)] == [1, 16, 16]
    assert planned_size(16, 0.0, 120.0, shows_life=True) == 16
