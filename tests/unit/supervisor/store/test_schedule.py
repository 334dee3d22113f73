"""Whose turn it is: the oldest's, but for a few that suit the loaded model.

Runs in: the test process.
"""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from supervisor.store.schedule import MOST_OVERTAKING, SchedulingHints, in_turn

OWN = frozenset({None, "small"})


def line(*models: str | None) -> dict[str | None, list[int]]:
    waiting: dict[str | None, list[int]] = defaultdict(list)
    for job_id, model in enumerate(models, start=1):
        waiting[model].append(job_id)
    return waiting


def exchanges(order: list[int], models: list[str | None], loaded: frozenset[str | None] = OWN) -> int:
    turn, count = SchedulingHints(own=OWN), 0
    for job_id in order:
        if models[job_id - 1] not in loaded:
            loaded, count = turn.names_of(models[job_id - 1]), count + 1
    return count


def test_without_a_loaded_model_the_oldest_is_next_and_its_like_follow() -> None:
    assert in_turn(line("a", "b", "a", "b"), SchedulingHints(), 4) == [1, 3, 2, 4]


def test_jobs_that_suit_the_loaded_model_go_first_by_whatever_name_they_call_it() -> None:
    turn = SchedulingHints(own=OWN, loaded=OWN)
    assert in_turn(line("large", None, "large", "small"), turn, 4) == [2, 4, 1, 3]
    assert in_turn(
        line("large", None, "large", "small"), SchedulingHints(own=OWN, loaded=frozenset({"large"})), 4
    ) == [
        1,
        3,
        2,
        4,
    ]


def test_a_model_that_had_its_time_lets_the_oldest_decide_and_then_begins_anew() -> None:
    turn = SchedulingHints(own=OWN, loaded=OWN, oldest_decides=True)
    assert in_turn(line(None, "large", None, "large", None), turn, 5) == [1, 2, 4, 3, 5]


def test_of_24_jobs_in_mixed_order_every_model_is_loaded_once() -> None:
    models: list[str | None] = ["large", None, "small", "tiny"] * 6
    assert exchanges(in_turn(line(*models), SchedulingHints(own=OWN, loaded=OWN), 24), models) == 2


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=150), st.booleans())
def test_every_job_comes_and_none_is_overtaken_by_more_than_a_few(models: list[str | None], decides: bool) -> None:
    order = in_turn(line(*models), SchedulingHints(own=OWN, loaded=OWN, oldest_decides=decides), len(models))
    assert sorted(order) == list(range(1, len(models) + 1))
    for position, job_id in enumerate(order):
        assert sum(earlier > job_id for earlier in order[:position]) < MOST_OVERTAKING
    for model in set(models):
        of_model = [job_id for job_id in order if models[job_id - 1] == model]
        assert of_model == sorted(of_model), "among its like the oldest goes first"
