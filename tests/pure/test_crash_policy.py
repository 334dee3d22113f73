"""What a job does when a worker dies holding it."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.crash_policy import halves, next_alignment, next_transcription


def test_a_transcriber_may_die_once_then_the_fallback_tries_then_the_job_is_quarantined() -> None:
    story = [next_transcription(crashes, 2, has_fallback=True) for crashes in (1, 2, 3)]
    assert story == ["same_engine", "fallback_engine", "quarantine"]


def test_without_a_fallback_the_third_death_still_quarantines() -> None:
    story = [next_transcription(crashes, 2, has_fallback=False) for crashes in (1, 2, 3)]
    assert story == ["same_engine", "same_engine", "quarantine"]


def test_a_policy_of_no_crashes_quarantines_at_the_first() -> None:
    assert next_transcription(1, 0, has_fallback=True) == "quarantine"


@given(st.lists(st.integers(), min_size=2))
def test_halves_lose_nothing_and_keep_the_order(batch: list[int]) -> None:
    left, right = halves(batch)
    assert [*left, *right] == batch
    assert left and right


def deaths_until_alone(batch: list[int], poison: int) -> tuple[set[int], set[int], int]:
    """Plays the policy against an aligner that dies of one segment: (with words, without, deaths)."""
    timed: set[int] = set()
    left: set[int] = set()
    deaths = 0
    given_up = False

    def align(part: list[int], deaths_of_batch: int) -> None:
        nonlocal deaths, given_up
        while True:
            if given_up:
                left.update(part)
                return
            if poison not in part:
                timed.update(part)
                return
            deaths += 1
            deaths_of_batch += 1
            match next_alignment(len(part), deaths_of_batch, deaths, 4):
                case "same_batch":
                    continue
                case "halves":
                    for half in halves(part):
                        align(list(half), deaths_of_batch)
                    return
                case "leave_segment":
                    left.update(part)
                    return
                case "leave_rest":
                    given_up = True

    for first in range(0, len(batch), 4):
        align(batch[first : first + 4], 0)
    return timed, left, deaths


@given(st.integers(1, 40), st.data())
def test_one_poisonous_segment_costs_its_own_words_and_no_others(size: int, data: st.DataObject) -> None:
    batch = list(range(size))
    poison = data.draw(st.sampled_from(batch))
    timed, left, deaths = deaths_until_alone(batch, poison)
    assert left == {poison}
    assert timed == set(batch) - {poison}
    assert deaths <= 4
