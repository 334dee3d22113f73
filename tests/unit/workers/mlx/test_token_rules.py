"""The rules of Whisper's tokens for a batch, against OpenAI's written out for one row."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.mlx.token_rules import TokenRules, token_rules

pytest.importorskip("mlx.core")

VOCABULARY, END, NO_TIMES, TIMES = 40, 10, 15, 16
TOKENIZER = SimpleNamespace(
    non_speech_tokens=(3,),
    transcribe=11,
    translate=12,
    sot=13,
    sot_prev=14,
    sot_lm=14,
    no_speech=14,
    no_timestamps=NO_TIMES,
    timestamp_begin=TIMES,
    eot=END,
)
NEVER = {3, 11, 12, 13, 14, NO_TIMES}
LOGITS = st.lists(st.floats(-5, 5, width=32), min_size=VOCABULARY, max_size=VOCABULARY)


@pytest.fixture(scope="module")
def rules() -> TokenRules:
    return token_rules(TOKENIZER, VOCABULARY)


def open_by_the_book(logits: Sequence[float], said: Sequence[int]) -> set[int]:
    """`ApplyTimestampRules.apply` of openai/whisper for one row."""
    allowed = {token: value for token, value in enumerate(logits) if token not in NEVER}
    after_time = said[-1] >= TIMES
    after_pair = len(said) < 2 or said[-2] >= TIMES
    if after_time:
        allowed = {t: v for t, v in allowed.items() if (t < TIMES if after_pair else t >= END)}
    if times := [token for token in said if token >= TIMES]:
        earliest = times[-1] if after_time and not after_pair else times[-1] + 1
        allowed = {t: v for t, v in allowed.items() if not TIMES <= t < earliest}
    sum_of_times = sum(math.exp(v) for t, v in allowed.items() if t >= TIMES)
    if sum_of_times > max((math.exp(v) for t, v in allowed.items() if t < TIMES), default=0.0):
        allowed = {t: v for t, v in allowed.items() if t >= TIMES}
    return set(allowed)


def open_by_us(rules: TokenRules, logits: Sequence[float], *histories: Sequence[int]) -> list[set[int]]:
    """What each beam may say after its history; the histories are of one length."""
    import mlx.core as mx

    said = rules.nothing_said(1, len(histories))
    for tokens in zip(*histories, strict=True):
        said = said.then(mx.array([tokens]), rules)
    scores: Any = np.array(rules.further(mx.array([[list(logits)] * len(histories)]), said))
    return [set(np.flatnonzero(np.isfinite(row)).tolist()) for row in scores[0]]


@given(data=st.data(), logits=LOGITS, length=st.integers(1, 6))
def test_every_beam_may_say_what_openais_rules_allow_it(
    rules: TokenRules, data: st.DataObject, logits: list[float], length: int
) -> None:
    token = st.sampled_from([0, 1, 5, *range(TIMES, VOCABULARY)])
    history = st.lists(token, min_size=length - 1, max_size=length - 1)
    first = st.integers(TIMES, VOCABULARY - 1)
    histories = [[data.draw(first), *data.draw(history)] for _ in range(3)]
    expected = [open_by_the_book(logits, said) for said in histories]
    if all(expected):  # Random tokens can paint themselves into a corner; the network's own cannot.
        assert open_by_us(rules, logits, *histories) == expected


def test_the_first_token_is_a_time_within_the_first_second() -> None:
    import mlx.core as mx

    rules = token_rules(TOKENIZER, 100)
    first: Any = np.array(rules.first(mx.zeros((2, 100))))
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in first] == [list(range(TIMES, TIMES + 51))] * 2


def test_times_do_not_run_backwards(rules: TokenRules) -> None:
    flat = [0.0] * VOCABULARY
    [open_tokens] = open_by_us(rules, flat, [TIMES, 1, TIMES + 9])
    assert {token for token in open_tokens if token >= TIMES} == set(range(TIMES + 9, VOCABULARY))


def test_what_would_say_tokens_once_more_is_closed_and_all_else_stays_open() -> None:
    rules = token_rules(TOKENIZER, VOCABULARY, longest_echo=3)
    histories = [[TIMES, 1, 2, 5, 1, 2], [TIMES, 1, 2, 5, 2, 1], [TIMES, 1, 2, 5, 2, 5]]
    echo, other, overlapping = open_by_us(rules, [0.0] * 10 + [9.0] + [-9.0] * 29, *histories)
    assert 5 not in echo
    assert {0, 1, 2, 4} <= echo
    assert 5 in other
    assert 2 not in overlapping
