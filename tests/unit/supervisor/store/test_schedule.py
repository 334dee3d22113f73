"""Whose turn it is: the oldest's, but for a few that suit the loaded model.

Runs in: the test process.
"""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ipc.vocabulary import Priority
from supervisor.store.schedule import MOST_OVERTAKING, WEIGHTS, SchedulingHints, Shares, in_turn

OWN = frozenset({None, "small"})


def line(*models: str | None) -> dict[Priority, dict[str | None, list[int]]]:
    waiting: dict[str | None, list[int]] = defaultdict(list)
    for job_id, model in enumerate(models, start=1):
        waiting[model].append(job_id)
    return {"normal": waiting}


def lines(*priorities: Priority) -> dict[Priority, dict[str | None, list[int]]]:
    """One job of each of these priorities, in this order, all for the same model."""
    waiting: dict[Priority, dict[str | None, list[int]]] = {}
    for job_id, priority in enumerate(priorities, start=1):
        waiting.setdefault(priority, {None: []})[None].append(job_id)
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


def test_urgent_jobs_go_first_and_the_archive_gets_one_turn_in_five() -> None:
    waiting = lines(*["archive"] * 2, *["normal"] * 9, "now")
    assert in_turn(waiting, SchedulingHints(), 12) == [12, 3, 4, 5, 6, 1, 7, 8, 9, 10, 2, 11]


def test_a_priority_without_jobs_saves_no_turns_up() -> None:
    shares = Shares()
    for _ in range(100):
        shares = shares.after("normal")
    waiting = lines(*["archive"] * 3, *["normal"] * 5)
    assert in_turn(waiting, SchedulingHints(shares=shares), 8) == [1, 4, 5, 6, 7, 2, 8, 3]


def test_the_loaded_model_is_preferred_across_priorities_as_within_one() -> None:
    waiting: dict[Priority, dict[str | None, list[int]]] = {
        "normal": {"a": [1], "b": [2, 3, 4]},
        "archive": {"a": [5], "b": [6]},
    }
    assert in_turn(waiting, SchedulingHints(loaded=frozenset({"b"})), 6) == [2, 3, 4, 1, 5, 6]


@given(st.lists(st.sampled_from(list(WEIGHTS)), min_size=1, max_size=120))
def test_every_priority_with_waiting_jobs_makes_progress(priorities: list[Priority]) -> None:
    order = in_turn(lines(*priorities), SchedulingHints(), len(priorities))
    assert sorted(order) == list(range(1, len(priorities) + 1))
    started = [priorities[job_id - 1] for job_id in order]
    for priority in set(priorities) - {"now"}:
        of_priority = [job_id for job_id in order if priorities[job_id - 1] == priority]
        assert of_priority == sorted(of_priority), "within a priority the oldest goes first"
        places = [started.count("now"), *(place for place, one in enumerate(started) if one == priority)]
        rounds = -(-WEIGHTS["normal"] // WEIGHTS[priority])
        assert all(after - before <= rounds + 1 for before, after in pairwise(places))
