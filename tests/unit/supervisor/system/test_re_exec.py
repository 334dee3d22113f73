"""A disk that failed is left alone for longer and longer; one that was well for a while starts a new row.

Runs in: the test process.
"""

import pytest

from supervisor.system.re_exec import COUNTED_BY, WELL_AFTER_SECONDS, new_starts_before, pause_before


def test_a_disk_that_stays_dead_costs_a_start_a_minute_and_no_more() -> None:
    assert [pause_before(before, 0.0).seconds for before in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_before(10_000, 0.0) == (60, 10_001)


def test_a_daemon_that_lived_well_before_its_disk_failed_is_the_first_of_a_new_row() -> None:
    assert pause_before(7, WELL_AFTER_SECONDS) == (1, 1)


def test_the_number_of_the_start_is_for_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COUNTED_BY, "3")
    assert (new_starts_before(), new_starts_before()) == (3, 0)
    monkeypatch.setenv(COUNTED_BY, "three")
    assert new_starts_before() == 0
