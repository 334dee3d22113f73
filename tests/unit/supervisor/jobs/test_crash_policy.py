"""What a job does when a worker dies holding it."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.jobs.crash_policy import (
    deaths_in_a_row,
    halves,
    most_deaths,
    next_alignment,
    next_transcription,
    place_of_death,
)


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


def deaths_counted(places: list[float]) -> list[int]:
    """The count after each death, of a recording that had got so far when its worker died."""
    counts: list[int] = []
    last: float | None = None
    for place in places:
        counts.append(deaths_in_a_row(counts[-1] if counts else 0, last, place))
        last = place
    return counts


@given(st.lists(st.floats(0, 36_000), min_size=1, max_size=50))
def test_whatever_got_further_is_acquitted_and_whatever_did_not_is_charged(steps: list[float]) -> None:
    further = [float(number) for number in range(len(steps))]
    assert deaths_counted(further) == [1] * len(steps)
    assert deaths_counted([steps[0]] * len(steps)) == list(range(1, len(steps) + 1))


def test_a_decoded_recording_is_further_than_any_that_is_still_decoded_and_later_is_further() -> None:
    def decoding(seconds: float) -> float:
        return place_of_death(0.0, seconds)

    heard = place_of_death(0.0, None)
    assert decoding(0.0) < decoding(1.0) < decoding(36_000.0) < heard
    assert heard < place_of_death(0.5, None)


def test_deaths_with_progress_end_somewhere_too_and_later_in_long_recordings() -> None:
    assert most_deaths(None) == most_deaths(0.0) == 20
    assert most_deaths(1_200.0) == 140, "a kill every 20 s for 20 minutes is half of that"
