"""Bounds of what was heard: in order, inside the chunk, and never at the expense of a neighbour."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine import SAMPLE_RATE, Chunk, RawSegment
from workers.text.segment_bounds import says_something, too_short, widen

CHUNK = Chunk(start=100.0, audio=np.zeros(20 * SAMPLE_RATE, np.float32))
stretches = st.builds(RawSegment, start=st.floats(90, 130), end=st.floats(90, 130), text=st.text(max_size=60))


@given(st.lists(stretches, max_size=8))
def test_any_stretches_come_out_in_order_inside_the_chunk_with_all_their_text(segments: list[RawSegment]) -> None:
    wide = widen(segments, CHUNK)
    assert all(CHUNK.start <= one.start <= one.end <= CHUNK.end and one.text.strip() for one in wide)
    assert all(before.end <= following.start for before, following in pairwise(wide))
    kept = [one.text for one in segments if says_something(one.text)]
    assert " ".join(one.text for one in wide).split() == " ".join(kept).split()


def test_full_stops_and_notes_alone_are_nothing_heard() -> None:
    assert widen([RawSegment(100, 104, " ."), RawSegment(104, 108, "♪ ♪"), RawSegment(108, 110, " 5.")], CHUNK) == [
        RawSegment(107.8, 110.2, "5.")
    ]


def test_a_stretch_grows_into_silence_but_meets_its_neighbour_in_the_middle() -> None:
    wide = widen(
        [RawSegment(100.1, 103.0, " One."), RawSegment(103.2, 105.0, "Two."), RawSegment(109.0, 119.9, "Three.")],
        CHUNK,
    )
    bounds = [bound for one in wide for bound in (one.start, one.end)]
    assert bounds == pytest.approx([100.0, 103.1, 103.1, 105.2, 108.8, 120.0])


def test_a_stretch_too_short_for_its_text_joins_its_neighbour() -> None:
    wide = widen(
        [RawSegment(100, 104, "A long enough sentence."), RawSegment(104, 104, "This has no time at all.")], CHUNK
    )
    assert [one.text for one in wide] == ["A long enough sentence. This has no time at all."]
    assert not too_short(wide[0])


def test_a_lonely_stretch_too_short_for_its_text_gets_the_whole_chunk() -> None:
    assert widen([RawSegment(100, 100, "Nobody says all this in no time at all.")], CHUNK) == [
        RawSegment(100.0, 120.0, "Nobody says all this in no time at all.")
    ]
