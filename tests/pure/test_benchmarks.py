"""The benchmark's own arithmetic: the same speech each time, errors counted rightly, and a page that says it all."""

import wave
from pathlib import Path

import numpy as np
import pytest
from benchmarks.figures import Demand, Failure, Machine, Outcome, Section, Series, Table, percentile, ratio
from benchmarks.results_page import Occasion, number, results_page
from benchmarks.speech_maker import FASTEST, SAMPLE_RATE, SLOWEST, Voice, pieces, record
from benchmarks.word_errors import plain_words, word_distance, word_error_rate
from hypothesis import given
from hypothesis import strategies as st

TWO_SECONDS, FIVE_SECONDS = (
    Voice(np.full(seconds * SAMPLE_RATE, 1000, np.int16), text) for seconds, text in ((2, "Yes."), (5, "No, never."))
)
VOICES = (TWO_SECONDS, FIVE_SECONDS)
FEW_WORDS = st.lists(st.sampled_from("abc"), max_size=6)


def test_the_same_seed_gives_the_same_speech_to_the_sample_and_another_gives_other_speech(tmp_path: Path) -> None:
    one, same, other = (
        record(tmp_path / f"{number}.wav", VOICES, 40.0, seed) for number, seed in enumerate((1, 1, 2))
    )
    assert one.path.read_bytes() == same.path.read_bytes() != other.path.read_bytes()
    assert one.text == same.text


@pytest.mark.parametrize("seconds", [1.0, 7.5, 60.0])
def test_speech_is_as_long_as_it_was_asked_for_and_no_voice_is_cut_off(seconds: float, tmp_path: Path) -> None:
    said = list(pieces(VOICES, seconds, seed=4))
    assert sum(len(piece.samples) for piece in said) == round(seconds * SAMPLE_RATE)
    for piece in said:
        loud = np.flatnonzero(np.abs(piece.samples) > 200)
        voice = next((voice for voice in VOICES if voice.text == piece.text), None)
        length = len(voice.samples) if voice else 0
        assert length / FASTEST - 1 <= len(loud) <= length / SLOWEST + 1
    with wave.open(str(record(tmp_path / "speech.wav", VOICES, seconds).path)) as file:
        assert file.getnframes() == round(seconds * SAMPLE_RATE) and file.getframerate() == SAMPLE_RATE


def test_numbers_case_and_punctuation_are_no_errors() -> None:
    assert word_error_rate("The ferry leaves at nine thirty, “tomorrow”.", "the ferry leaves at 9.30 tomorrow") == 0
    assert plain_words("Don’t. Two-and-twenty") == ["don't", "2", "and", "20"]


def test_a_wrong_a_missing_and_an_additional_word_are_an_error_each() -> None:
    assert word_error_rate("one two three four", "one too three four") == 1 / 4
    assert word_error_rate("one two three four", "one three four") == 1 / 4
    assert word_error_rate("one two three four", "one two two three four") == 1 / 4
    assert word_error_rate("one two", "") == 1.0
    with pytest.raises(ValueError):
        word_error_rate("…", "anything")


@given(FEW_WORDS, FEW_WORDS)
def test_the_distance_is_levenshteins(one: list[str], other: list[str]) -> None:
    def slowly(one: list[str], other: list[str]) -> int:
        if not one or not other:
            return len(one) + len(other)
        return min(
            slowly(one[1:], other) + 1, slowly(one, other[1:]) + 1, slowly(one[1:], other[1:]) + (one[0] != other[0])
        )

    assert word_distance(one, other) == slowly(one, other)


def test_ratios_are_of_medians_and_a_demand_holds_at_its_limit() -> None:
    assert ratio([10.0, 2.0, 4.0], [2.0, 1.0, 100.0]) == 2.0
    assert percentile(list(range(100)), 0.95) == 95 and percentile([7.0], 0.95) == 7.0
    assert Demand("", 2.0, "≥", 2, "×").held and Demand("", 1.05, "≤", 1.05, "×").held
    assert not Demand("", 1.99, "≥", 2, "×").held and not Demand("", 1.06, "≤", 1.05, "×").held


def test_a_figure_has_the_digits_that_mean_something() -> None:
    assert [number(value, "s") for value in (0.0414, 0.812, 4.5, 12.34, 1234.5)] == [
        *("0.041 s", "0.81 s", "4.50 s", "12.3 s", "1,234 s"),
    ]
    assert (number(0, ""), number(1.5, "%"), number(311_000_000, "B")) == ("0", "1.50%", "311 MB")


MACHINE = Machine("A Processor", 2, 8 * 2**30, "A System", "3.11", "0.1.0, commit abc", {"torch": ("2.8.0", "2.8.0")})


def page(*outcomes: Outcome, doubts: tuple[str, ...] = ()) -> str:
    return results_page(MACHINE, Occasion("2026-01-01", 5, 2, (0.1, 0.2, 0.3), 40.0, doubts), outcomes)


def test_the_page_tells_medians_spreads_ratios_and_what_did_not_hold() -> None:
    section = Section(
        "A race",
        "One lap.",
        (Series("we", "s", (3.0, 1.0, 2.0)), Series("they, once", "s", (5.0,))),
        (
            Demand("times faster", 2.5, "≥", 2, "×"),
            Demand("falls", 3, "≤", 0, ""),
            Demand("just too slow", 1.999, "≥", 2, "×"),
        ),
        (Table(("lap", "time"), (("1", "2 s"),)),),
        ("It rained.",),
    )
    said = page(Outcome("1", section, 0.0))
    for line in (
        "| processor | A Processor, 2 cores |",
        "| torch | 2.8.0 | 2.8.0 |",
        "## 1 · A race",
        "| we | 2.00 s | 1.00 s – 3.00 s | 3 |",
        "| they, once | 5.00 s |  | 1 |",
        "| 1 | times faster | ≥ 2.00 × | 2.50 × | held |",
        "| falls | ≤ 0 | 3 | **missed** |",
        "| just too slow | ≥ 2.00 × | 1.999 × | **missed** |",
        "| 1 | 2 s |",
        "It rained.",
    ):
        assert line in said.splitlines()
    assert "quick look" not in said and "not quiet" not in said


def test_a_row_that_failed_and_a_machine_that_was_not_quiet_are_told_and_the_others_still_stand() -> None:
    said = page(
        Outcome("1", Failure("A race", "the horse died"), 0.4),
        Outcome("2", Section("Another", "", (), (Demand("laps", 1, "≥", 1, ""),)), 0.0),
        doubts=("1 run(s) instead of 5",),
    )
    assert "the horse died" in said and "| 1 | A race |  |  | **not measured** |" in said
    assert "others used 40% of it" in said and "| 2 | laps |" in said
    assert "> **Only a quick look:** 1 run(s) instead of 5." in said
