"""When a decoding of Whisper's is believed, when its sound is heard again, and when it is silence."""

from collections.abc import Sequence

import numpy as np
import pytest

from workers.engine import SAMPLE_RATE, Chunk, Heard
from workers.whisper_decoding import Decoding, is_doubtful, read_decoding

CHUNK = Chunk(start=60.0, audio=np.arange(10 * SAMPLE_RATE, dtype=np.float32))
CLEAR = Heard(60.2, 69.8, "All of it was heard.", avg_logprob=-0.2, no_speech_prob=0.05)
END_OF_TEXT, TIMES = 1000, 2000


def at(seconds: float) -> int:
    return TIMES + round(seconds / 0.02)


def read(tokens: Sequence[int], *, avg_logprob: float = -0.2, no_speech_prob: float = 0.1) -> Decoding:
    def decode(words: list[int]) -> str:
        return "".join(f" w{word}" for word in words)

    return read_decoding(tokens, CHUNK, TIMES, END_OF_TEXT, decode, avg_logprob, no_speech_prob)


def test_clear_speech_up_to_the_end_is_believed_and_so_is_silence() -> None:
    assert not is_doubtful(Decoding((CLEAR,)), CHUNK)
    assert not is_doubtful(Decoding(()), CHUNK)


@pytest.mark.parametrize(
    "heard",
    [
        Heard(60.2, 69.8, "Words it is unsure of.", avg_logprob=-1.2),
        Heard(60.2, 69.8, "and again " * 20, avg_logprob=-0.1),
        Heard(60.2, 66.0, "Half of it.", avg_logprob=-0.2),
    ],
    ids=["unlikely", "going round in circles", "ends too early"],
)
def test_a_chunk_is_heard_again_by_itself(heard: Heard) -> None:
    assert is_doubtful(Decoding((heard,)), CHUNK)


def test_a_text_that_goes_on_long_behind_its_sound_is_made_up() -> None:
    assert is_doubtful(read([at(0), 1, at(9.5), at(9.5), 2, at(29)]), CHUNK)
    assert not is_doubtful(read([at(0), 1, at(9.5), at(9.5), 2, at(11)]), CHUNK)


def test_of_a_chunk_in_which_whisper_broke_off_only_the_rest_is_heard_again() -> None:
    decoding = read([at(0.2), 1, 2, at(5), at(5), 3, 4])
    assert [(one.start, one.end, one.text) for one in decoding.heard] == [(60.2, 65.0, "w1 w2")]
    assert decoding.rest is not None
    assert decoding.rest.start == 65.0
    assert np.array_equal(decoding.rest.audio, CHUNK.audio[5 * SAMPLE_RATE :])
    assert not is_doubtful(decoding, CHUNK)


@pytest.mark.parametrize(
    ("no_speech", "logprob", "silent"), [(0.9, -1.2, True), (0.9, -0.3, False), (0.1, -1.2, False)]
)
def test_silence_takes_two_witnesses(no_speech: float, logprob: float, silent: bool) -> None:
    decoding = read([at(0), 1, at(9.5)], avg_logprob=logprob, no_speech_prob=no_speech)
    assert (decoding == Decoding(())) is silent
