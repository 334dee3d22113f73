"""When faster-whisper's batch is believed, when it is tried again, and when it is silence."""

import numpy as np
import pytest

from workers.engine import SAMPLE_RATE, Chunk, Heard
from workers.whisperx_transcriber import is_doubtful, is_silence

CHUNK = Chunk(start=60.0, audio=np.zeros(10 * SAMPLE_RATE, np.float32))
CLEAR = Heard(60.2, 69.8, "All of it was heard.", avg_logprob=-0.2, no_speech_prob=0.05)


def test_clear_speech_up_to_the_end_is_believed_and_so_is_silence() -> None:
    assert not is_doubtful([CLEAR], CHUNK)
    assert not is_doubtful([], CHUNK)


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
    assert is_doubtful([heard], CHUNK)


@pytest.mark.parametrize(
    ("no_speech", "logprob", "silent"), [(0.9, -1.2, True), (0.9, -0.3, False), (0.1, -1.2, False)]
)
def test_silence_takes_two_witnesses(no_speech: float, logprob: float, silent: bool) -> None:
    assert is_silence(Heard(60.0, 62.0, "You", avg_logprob=logprob, no_speech_prob=no_speech)) is silent
