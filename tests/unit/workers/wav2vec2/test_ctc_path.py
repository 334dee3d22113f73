"""The way of a text through letter scores, on scores made by hand and at random.

Runs in: the test process.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.wav2vec2.ctc_path import Scores, align_letters
from workers.wav2vec2.quantized_linear import eight_bit, flags_of_cpu, reduced_kinds, sixteen_bit


def scores_of(frames: list[str], letters: str = "-abc") -> Scores:
    """Each frame nearly certain of its letter; the blank is `-`."""
    return np.log(
        np.array([[0.97 if letter == heard else 0.01 for letter in letters] for heard in frames], np.float32)
    )


def test_letters_are_found_where_they_are_heard() -> None:
    found = align_letters(scores_of(list("--aa-b-cc--")), [1, 2, 3], blank=0)
    assert found is not None
    assert found.first_frames.tolist() == [2, 5, 7]
    assert found.end_frames.tolist()[-1] == 8
    assert (found.scores > 0.3).all()


def test_a_text_without_letters_or_with_more_than_there_are_frames_has_no_way() -> None:
    scores = scores_of(list("ab"))
    assert align_letters(scores, [], blank=0) is None
    assert align_letters(scores, [1, 2, 3], blank=0) is None
    assert align_letters(scores, [1, 2], blank=0) is not None


@st.composite
def short_texts(draw: st.DrawFn) -> tuple[Scores, list[int]]:
    frames = draw(st.integers(1, 7))
    columns = draw(st.lists(st.integers(1, 3), min_size=1, max_size=frames))
    seed = draw(st.integers(0, 2**32 - 1))
    chances = np.random.default_rng(seed).dirichlet(np.ones(4), size=frames)
    return np.log(chances).astype(np.float32), columns


@given(short_texts())
def test_of_all_ways_that_begin_each_letter_in_a_frame_of_its_own_the_likeliest_is_found(
    drawn: tuple[Scores, list[int]],
) -> None:
    scores, columns = drawn
    found = align_letters(scores, columns, blank=0)
    assert found is not None
    end = int(found.end_frames[-1])

    def likelihood(begins: tuple[int, ...]) -> float:
        letters = dict(zip(begins, columns, strict=True))
        return sum(float(scores[frame, letters.get(frame, 0)]) for frame in range(end))

    # A letter is heard in the first of its frames; whatever follows is blank until the next one.
    best = max(likelihood(begins) for begins in combinations(range(end), len(columns)))
    assert likelihood(tuple(found.first_frames.tolist())) >= best - 1e-4
    assert (found.first_frames[1:] == found.end_frames[:-1]).all()


def test_reduced_precision_is_tried_only_where_the_processor_has_it() -> None:
    engines = ["none", "onednn"]
    assert reduced_kinds(frozenset({"avx2", "amx_bf16"}), engines) == {"bfloat16": sixteen_bit}
    assert reduced_kinds(frozenset({"avx2"}), engines) == {"int8": eight_bit}
    assert reduced_kinds(frozenset({"avx2"}), ["qnnpack", "none"]) == {}
    assert reduced_kinds(frozenset({"sse4_2"}), engines) == {}


def test_the_flags_are_those_of_the_first_processor_and_none_where_nobody_lists_them(tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert flags_of_cpu(listing) == {"fpu", "avx2"}
    listing.write_text("")
    assert flags_of_cpu(listing) == flags_of_cpu(tmp_path / "nowhere") == frozenset()
