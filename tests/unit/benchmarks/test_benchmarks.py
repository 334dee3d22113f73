"""The benchmark's own arithmetic: the same speech each time, errors counted rightly, and a page that says it all."""

import hashlib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.engines.whisper_base import BESIDE, FILES, WEIGHTS, ModelDamaged, join
from benchmarks.figures import Demand, Failure, Machine, Outcome, Section, Series, Table, percentile, ratio
from benchmarks.kept_outcomes import keep, kept
from benchmarks.results_page import FULL_RUNS, Occasion, number, results_page
from benchmarks.speech.speech_maker import FASTEST, SAMPLE_RATE, SLOWEST, Voice, pieces, record

TWO_SECONDS, FIVE_SECONDS = (
    Voice(np.full(seconds * SAMPLE_RATE, 1000, np.int16), text) for seconds, text in ((2, "Yes."), (5, "No, never."))
)
VOICES = (TWO_SECONDS, FIVE_SECONDS)


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


def outcome(row: str, result: Section | Failure, others_share: float = 0.0, **otherwise: Any) -> Outcome:
    measured = {"date": "2026-01-01", "commit": MACHINE.commit, "runs": FULL_RUNS, "shrink": 1.0, "minutes": 4.0}
    return Outcome(row, result, others_share, **(measured | otherwise))


def page(*outcomes: Outcome, left_out: tuple[str, ...] = ()) -> str:
    return results_page(MACHINE, Occasion(2, (0.1, 0.2, 0.3), left_out), outcomes)


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
    said = page(outcome("1", section))
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
        outcome("1", Failure("A race", "the horse died"), 0.4),
        outcome("2", Section("Another", "", (), (Demand("laps", 1, "≥", 1, ""),)), runs=1),
        left_out=("3",),
    )
    assert "the horse died" in said and "| 1 | A race |  |  | **not measured** |" in said
    assert "others used 40% of it" in said and "| 2 | laps |" in said
    assert "> **Only a quick look:** row 2: 1 run(s) instead of 5." in said
    assert "> **Only a quick look:** without row 3." in said


def test_a_page_made_in_pieces_says_of_which_commit_each_piece_is(tmp_path: Path) -> None:
    section = Section("A race", "", (Series("we", "s", (3.0,)),), (Demand("laps", 1, "≥", 1, ""),))
    failure = Failure("Another", "the horse died")
    keep(tmp_path, outcome("1", section, commit="0.1.0, commit old"))
    keep(tmp_path, outcome("2", failure))
    (tmp_path / "3.json").write_text("of another age")
    before = kept(tmp_path, ("1", "2", "3", "4"))
    assert [one.result for one in before] == [section, failure]
    said = page(*before)
    assert "Measured on 2026-01-01 of 0.1.0, commit old." in said and "Measured on 2026-01-01." in said


def test_the_base_model_is_joined_from_its_parts_and_a_wrong_byte_leaves_none(tmp_path: Path) -> None:
    for half, part in zip((b"half 0", b"half 1"), WEIGHTS, strict=True):
        (tmp_path / part).parent.mkdir(parents=True)
        (tmp_path / part).write_bytes(half)
    for name in FILES:
        (tmp_path / BESIDE / name).write_text(name)
    join(tmp_path, tmp_path / "model", hashlib.sha256(b"half 0half 1").hexdigest())
    assert (tmp_path / "model" / "model.bin").read_bytes() == b"half 0half 1"
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"model.bin", *FILES}
    with pytest.raises(ModelDamaged):
        join(tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()
