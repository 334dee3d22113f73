"""How fast a job is and how long it still takes, with a clock that the test turns.

Runs in: the test process.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.vocabulary import Phase
from supervisor.progress.estimate import HALF_LIFE_SECONDS, JUDGED_AFTER_SECONDS, Estimate, Rates, StageProgress

HOUR = 3600.0
NEW = Estimate()
Step = tuple[float, Phase, float]
"""When, what, how far."""


def after(steps: Sequence[Step], pace: Estimate = NEW, audio_seconds: float | None = HOUR) -> Estimate:
    for now, phase, done_seconds in steps:
        pace = pace.stepped(phase, done_seconds, audio_seconds, now)
    return pace


def batches(
    count: int, seconds: float = 5.0, audio: float = 100.0, start: float = 0.0, at: float = 0.0
) -> list[Step]:
    """Steps of a worker whose batches take so long each and hold so much audio."""
    steps: list[Step] = [(at, "speech", start)]
    for number in range(count):
        began, place = at + number * seconds, start + number * audio
        steps += [(began, "transcribing", place + 1.0), (began + seconds, "transcribing", place + audio)]
    return steps


def test_nothing_is_said_before_there_is_something_to_judge_by() -> None:
    for pace in (Estimate(), after([(0.0, "decoding", 900.0)]), after(batches(1)), after(batches(3, seconds=0.1))):
        assert pace.speed(now=0.5) is None
        assert pace.seconds_left(HOUR, now=0.5) is None
    unknown_length = after(batches(4), audio_seconds=None)
    assert unknown_length.seconds_left(None, now=20.0) is None
    assert unknown_length.share == 0.0


def test_speed_and_time_left_are_what_was_seen() -> None:
    pace = after(batches(4))
    assert pace.speed(now=20.0) == pytest.approx(20.0, rel=0.01)
    assert pace.seconds_left(HOUR, now=20.0) == pytest.approx(3200 / 20, rel=0.01)
    # Within a batch the time left runs down; once the batch is overdue, it is slow, and the figures say so.
    assert pace.seconds_left(HOUR, now=24.0) == pytest.approx(3200 / 20 - 4, rel=0.01)
    assert (pace.speed(now=125.0) or 0) == pytest.approx(400 / 120, rel=0.1)
    assert (pace.seconds_left(HOUR, now=125.0) or 0) > 900


def test_what_a_resumed_job_had_already_is_no_speed_of_its_own() -> None:
    resumed = Estimate(is_resumed=True, transcribed_seconds=1800.0)
    pace = after(batches(4, start=1800.0, at=50.0), resumed)
    assert pace.speed(now=70.0) == pytest.approx(20.0, rel=0.01)
    assert pace.seconds_left(HOUR, now=70.0) == pytest.approx(1400 / 20, rel=0.01)
    assert pace.share > 0.4
    # Where its words are is not known from a request that merely begins.
    words = after([(70.0, "aligning", 0.0), (71.0, "aligning", 1700.0), (75.0, "aligning", 1710.0)], pace)
    assert words.aligning.began_at_seconds == 1700.0


def test_a_fresh_worker_is_judged_by_its_own_work() -> None:
    dead = after(batches(4))
    fresh = after([(60.0, "decoding", 0.0), *batches(3, seconds=50.0, start=400.0, at=61.0)], dead)
    assert fresh.speed(now=211.0) == pytest.approx(2.0, rel=0.01)
    assert fresh.share >= dead.share


def test_the_slower_of_two_workers_decides() -> None:
    words: list[Step] = [(float(at), "aligning", at * 4.0) for at in range(21)]
    pace = after(words, after(batches(4)))
    assert pace.speed(now=20.0) == pytest.approx(20.0, rel=0.01)
    assert pace.seconds_left(HOUR, now=20.0) == pytest.approx((HOUR - 80) / 4)
    alone = replace(pace, text_is_whole=True)
    assert alone.speed(now=20.0) == pytest.approx(4.0)
    assert alone.writing().seconds_left(HOUR, now=20.0) == 0.0
    assert alone.writing().share == pytest.approx(0.99)


def test_the_last_minutes_count_more_than_the_first_ones() -> None:
    slow = batches(20, seconds=20.0)
    quick = batches(120, at=400.0, start=2000.0)[1:]
    pace = after([*slow, *quick], audio_seconds=10 * HOUR)
    assert pace.speed(now=1000.0) == pytest.approx(20.0, rel=0.05)


def test_one_batch_longer_than_the_half_life_leaves_something_to_judge_by() -> None:
    stage = StageProgress()
    for number in range(6):
        stage = stage.reached(100.0 * number, now=number * 2 * HALF_LIFE_SECONDS)
    assert stage.speed(now=10 * HALF_LIFE_SECONDS) == pytest.approx(100 / (2 * HALF_LIFE_SECONDS))


def test_words_alone_fill_the_bar_of_a_job_whose_text_was_there() -> None:
    upgrade = Estimate(is_resumed=True, transcribed_seconds=HOUR, text_was_there=True)
    assert upgrade.share == 0.0
    half = after([(float(at), "aligning", at * 180.0) for at in range(11)], upgrade)
    assert half.share == pytest.approx(0.5, abs=0.05)
    assert half.speed(now=10.0) == pytest.approx(180.0)
    without_words = after(batches(18), Estimate(Rates(wants_words=False)))
    assert without_words.share == pytest.approx(0.5, abs=0.03)


@given(
    st.sampled_from([Rates(), Rates(15.0, 2.0), Rates(9.0, None, wants_words=False)]),
    st.lists(
        st.tuples(
            st.sampled_from(["loading", "decoding", "speech", "language", "transcribing", "aligning"]),
            st.floats(0.0, 2 * HOUR),
            st.floats(0.0, 100.0),
        ),
        max_size=60,
    ),
    st.floats(0.0, HOUR),
)
def test_figures_are_never_absurd_and_the_share_never_goes_back(
    rates: Rates, steps: list[tuple[Phase, float, float]], resumed_at: float
) -> None:
    pace, now, before = Estimate(rates, is_resumed=resumed_at > 0, transcribed_seconds=resumed_at), 0.0, 0.0
    for phase, done_seconds, later in steps:
        now += later
        pace = pace.stepped(phase, done_seconds, HOUR, now)
        assert before <= pace.share <= 1.0
        before = pace.share
        speed, left = pace.speed(now), pace.seconds_left(HOUR, now)
        assert speed is None or 0 < speed <= 2 * HOUR / JUDGED_AFTER_SECONDS
        assert left is None or left >= 0


# --- with what is known from earlier jobs --------------------------------------------------------------------------

KNOWN = Rates(transcribing=20.0, aligning=60.0)


def test_a_known_machine_gives_a_time_once_the_length_is_known() -> None:
    new = Estimate(KNOWN)
    assert new.seconds_left(None, now=0.0) is None
    # The aligner is hidden behind the transcriber, unless it is the slower one.
    assert new.seconds_left(HOUR, now=0.0) == pytest.approx(180)
    assert Estimate(KNOWN._replace(aligning=10.0)).seconds_left(HOUR, now=0.0) == pytest.approx(360)
    words_only = Estimate(KNOWN, text_was_there=True, is_resumed=True, transcribed_seconds=HOUR)
    assert words_only.seconds_left(HOUR, now=0.0) == pytest.approx(60)


def test_what_is_seen_outweighs_what_was_known_before_long() -> None:
    first = after([(0.0, "speech", 0.0)], Estimate(KNOWN))
    # A first batch may be long: its time runs down, and only after a while is the machine thought slow.
    assert first.seconds_left(HOUR, now=0.0) == pytest.approx(180)
    assert first.seconds_left(HOUR, now=10.0) == pytest.approx(170)
    assert (first.seconds_left(HOUR, now=60.0) or 0) > 600
    slower = after(batches(24, audio=50.0), Estimate(KNOWN))
    left = slower.seconds_left(HOUR, now=120.0) or 0.0
    assert left == pytest.approx(2400 / 10, rel=0.15)
    assert slower.speed(now=120.0) == pytest.approx(10.0, rel=0.01), "what is shown was seen in this job"


def test_a_stalled_recording_has_no_time_that_runs_out() -> None:
    for rates in (Rates(), KNOWN):
        stalled = after(batches(4), Estimate(rates))
        lefts = [stalled.seconds_left(HOUR, now=20.0 + silence) or 0.0 for silence in (60.0, 600.0, 6000.0)]
        assert lefts == sorted(lefts) and lefts[-1] > 10 * lefts[0]


def test_an_aligner_that_waits_for_text_is_not_slow() -> None:
    pace = Estimate(KNOWN)
    at = 0.0
    for number in range(10):
        place = 300.0 * number
        pace = after([(at, "speech", place), (at + 15, "transcribing", place + 300)], pace)
        pace = after([(at + 15, "aligning", 0.0), (at + 20, "aligning", place + 299)], pace)
        at += 15
    # It is at work for five seconds of every fifteen.
    transcribed, aligned = pace.transcribing.measured(), pace.aligning.measured()
    assert transcribed is not None and transcribed.work_seconds == pytest.approx(150)
    assert aligned is not None and aligned.work_seconds == pytest.approx(50, rel=0.05)
    whole = pace.transcribed()
    assert whole.seconds_left(HOUR, now=155.0) == pytest.approx(601 / 60, rel=0.05)


def test_the_bar_ends_where_the_files_are_written_with_words_and_without() -> None:
    for rates in (KNOWN, KNOWN._replace(aligning=5.0), Rates(), Rates(wants_words=False)):
        pace = after([(0.0, "decoding", 0.0), (10.0, "speech", 0.0)], Estimate(rates))
        shares = [pace.share]
        for place in range(0, 3600, 300):
            at = 10.0 + place / 20
            pace = after([(at, "transcribing", place + 1.0), (at + 15, "transcribing", place + 300.0)], pace)
            if rates.wants_words:
                pace = after([(at + 15, "aligning", 0.0), (at + 20, "aligning", place + 290.0)], pace)
            shares.append(pace.share)
        assert shares == sorted(shares)
        assert pace.share >= 0.97


def test_only_what_was_seen_is_measured() -> None:
    seen = after([(0.0, "decoding", 0.0), (9.0, "speech", 0.0), *batches(36, at=9.0)[1:]])
    assert seen.transcribing.measured() == (HOUR, pytest.approx(180))
    assert seen.aligning.measured() is None
    resumed = after(batches(18, start=1800.0), Estimate(is_resumed=True, transcribed_seconds=1800.0))
    assert resumed.transcribing.measured() == (1800.0, pytest.approx(90))


def test_what_a_job_waits_for_an_urgent_one_is_no_slowness_of_its_own() -> None:
    paused = after([*batches(4), (20.0, "paused", 400.0), (320.0, "transcribing", 400.0)])
    pace = after(batches(4, start=400.0, at=320.0)[1:], paused)
    assert pace.speed(now=340.0) == pytest.approx(20.0, rel=0.01)
    measured = pace.transcribing.measured()
    assert measured is not None and measured.work_seconds == pytest.approx(40.0)
