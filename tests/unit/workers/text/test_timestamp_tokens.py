"""What whisper's timestamp tokens say, without whisper."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from workers.text.timestamp_tokens import TimestampReading, read_timestamps

END_OF_TEXT, TIMES = 1000, 2000


def at(seconds: float) -> int:
    return TIMES + round(seconds / 0.02)


def decode(tokens: Sequence[int]) -> str:
    return "".join(f" w{token}" for token in tokens)


def read(tokens: list[int], audio_seconds: float = 30.0) -> TimestampReading:
    return read_timestamps(tokens, TIMES, END_OF_TEXT, audio_seconds, decode)


def test_a_pair_of_times_parts_two_stretches() -> None:
    reading = read([at(0), 1, 2, at(2), at(2.5), 3, at(4)])
    assert reading == TimestampReading(((0.0, 2.0, "w1 w2"), (2.5, 4.0, "w3")), None)


def test_a_decoding_that_broke_off_is_heard_again_from_its_last_pair() -> None:
    assert read([at(0), 1, at(5), at(5), 2, 3]) == TimestampReading(((0.0, 5.0, "w1"),), 5.0)
    assert read([at(0), 1, at(5), at(5)]) == TimestampReading(((0.0, 5.0, "w1"),), 5.0)


def test_the_last_second_is_not_heard_again_and_keeps_its_text() -> None:
    assert read([at(0), 1, at(5), at(5), 2], 5.5) == TimestampReading(((0.0, 5.0, "w1"), (5.0, 5.5, "w2")), None)


def test_text_without_times_fills_the_audio() -> None:
    assert read([1, 2], 7.0) == TimestampReading(((0.0, 7.0, "w1 w2"),))
    assert read([at(1), 1], 7.0) == TimestampReading(((1.0, 7.0, "w1"),))
    assert read([], 7.0) == TimestampReading(())


def test_times_beyond_the_audio_are_given_up_and_the_text_is_kept() -> None:
    assert read([at(0), 1, at(2), at(8), 2, at(9)], 5.0) == TimestampReading(((0.0, 5.0, "w1 w2"),))


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(TIMES, TIMES + 1500)), max_size=40), st.floats(0.1, 30))
def test_whatever_the_tokens_stretches_are_in_order_inside_and_no_text_is_lost(
    tokens: list[int], audio_seconds: float
) -> None:
    reading = read(tokens, audio_seconds)
    behind = 0.0
    for start, end, text in reading.stretches:
        assert behind <= start < end <= audio_seconds
        assert text
        behind = end
    said = [token for token in tokens if token < END_OF_TEXT]
    words = " ".join(text for _, _, text in reading.stretches).split()
    if reading.decoded_until is None:
        assert words == decode(said).split()
    else:
        assert words == decode(said).split()[: len(words)]
        assert 1.0 <= reading.decoded_until <= audio_seconds - 1.0
