"""What was audible in a recording and gave no text is told, wherever it was."""

from dataclasses import replace

import numpy as np
import pytest

from ipc.transcript import Segment
from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Chunk
from workers.text.unheard import WithoutVoice, sounds_in, unheard, unheard_in

SECONDS_A_WINDOW = WINDOW_SAMPLES / SAMPLE_RATE


def chunk(*sounds: tuple[float, float], seconds: float = 20.0, start: float = 100.0, loudness: float = 0.1) -> Chunk:
    windows = round(seconds / SECONDS_A_WINDOW)
    at = [start + (window + 0.5) * SECONDS_A_WINDOW for window in range(windows)]
    audible = tuple(any(begin <= one < end for begin, end in sounds) for one in at)
    drawn = np.random.default_rng(0).normal(0, loudness, windows * WINDOW_SAMPLES).astype(np.float32)
    return Chunk(start, drawn * np.repeat(np.array(audible, np.float32), WINDOW_SAMPLES), None, audible)


def segment(start: float, end: float) -> Segment:
    return Segment(id=0, start=start, end=end, text="said")


def test_a_breath_divides_no_sound_and_a_pause_does() -> None:
    found = sounds_in(chunk((101.0, 103.0), (103.3, 104.0), (106.0, 108.0)))
    assert found == [pytest.approx((101.0, 104.0), abs=0.04), pytest.approx((106.0, 108.0), abs=0.04)]


def test_sound_without_text_is_told_with_its_place_and_how_loud_it_is() -> None:
    found = unheard_in(chunk((101.0, 104.0), (108.0, 118.0)), [segment(100.8, 104.1), segment(110.0, 112.0)])
    assert [(one.start, one.end) for one in found] == [
        pytest.approx((108.0, 110.0), abs=0.04),
        pytest.approx((112.0, 118.0), abs=0.04),
    ]
    assert all(one.level_db == pytest.approx(-20, abs=1) for one in found)


def test_what_is_over_in_a_moment_is_not_told_nor_what_has_text() -> None:
    assert unheard_in(chunk((101.0, 101.3), (105.0, 109.0)), [segment(105.2, 108.8)]) == []
    assert unheard_in(Chunk(0.0, np.zeros(16_000, np.float32)), []) == []


def test_a_chunk_without_any_text_is_told_whole() -> None:
    (one,) = unheard_in(chunk((100.0, 120.0), loudness=0.001), [])
    assert (one.start, one.end) == pytest.approx((100.0, 120.0), abs=0.04)
    assert one.level_db == pytest.approx(-60, abs=1)


def test_where_the_detector_hears_no_voice_at_all_no_engine_is_asked_and_the_sound_is_told() -> None:
    music = replace(chunk((100.0, 119.0)), voice=(0.0001,) * 625)
    speech = replace(chunk((120.0, 139.0), start=120.0), voice=(0.5,) * 625)
    unknown = chunk((140.0, 159.0), start=140.0)
    aside = WithoutVoice()
    assert list(aside.put_aside(iter([music, speech, unknown]))) == [speech, unknown]
    assert [(one.start, one.end) for one in aside.before(139.0)] == [pytest.approx((100.0, 119.0), abs=0.04)]
    assert unheard([speech], [segment(120.0, 139.5)]) == []
    assert aside.before(1000.0) == [], "each is told once"
