"""What is made of a decoder that says nothing, and of one that ended."""

import pytest

from ipc.decoder_messages import LINE_LIMIT_BYTES, BadLine, Decoded, DecodeProgress, Lines, OpeningFile, as_line
from ipc.transcript import RecordingFacts
from workers.decoder.verdict import DecoderSilence, death_of

TRACEBACK = """Fatal Python error: Segmentation fault

Current thread 0x00007f41ce287b80 (most recent call first):
  File "/home/somebody/stenod/workers/audio/decode.py", line 120 in _write_all
  File "/home/somebody/stenod/workers/decoder/decode_one.py", line 82 in _decode

Extension modules: numpy._core._multiarray_umath (total: 49)
"""


def looks(waiting: DecoderSilence, seconds: float, *, computes: bool, step: float = 0.5) -> str | None:
    """Looks for so long, and gives the first verdict."""
    at = waiting.looked_at
    for number in range(1, round(seconds / step) + 1):
        if (found := waiting.verdict(at + number * step, computes)) is not None:
            return found
    return None


def test_a_decoder_that_waits_without_work_waits_for_the_disk() -> None:
    waiting = DecoderSilence(20.0, 90.0, since=0.0)
    assert looks(waiting, 19.5, computes=False) is None
    assert looks(waiting, 1.0, computes=False) == "disk"


def test_a_slow_disk_that_answers_is_never_found_silent() -> None:
    waiting = DecoderSilence(20.0, 90.0, since=0.0)
    for minute in range(60):
        assert looks(waiting, 15.0, computes=False) is None
        waiting.heard(15.0 * (minute + 1))


def test_one_that_computes_is_stuck_only_when_all_patience_is_gone() -> None:
    waiting = DecoderSilence(20.0, 90.0, since=0.0)
    assert looks(waiting, 89.5, computes=True) is None
    assert looks(waiting, 1.0, computes=True) == "stuck"


def test_where_both_deadlines_are_one_the_disk_is_blamed_for_idle_time() -> None:
    waiting = DecoderSilence(3.0, 3.0, since=0.0)
    waiting.verdict(0.5, is_computing=True)
    assert looks(waiting, 3.0, computes=False) == "disk"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (-11, "SIGSEGV", "it was ended by SIGSEGV, in workers/audio/decode.py:120 (_write_all)"),
        (-24, "SIGXCPU", "more processor time than a recording may"),
        (-9, "SIGKILL", "it was ended by SIGKILL"),
        (0, "exit", "code 0 and without an answer"),
        (3, "exit", "code 3"),
        (None, "timeout", "did not exit"),
        (-50, "signal 50", "signal 50"),
    ],
)
def test_a_death_is_told_with_its_signal_and_its_place(status: int | None, kind: str, words: str) -> None:
    death = death_of(status, TRACEBACK)
    assert death.kind == kind
    assert words in death.words
    assert "Extension modules" not in death.traceback


def test_lines_are_put_together_from_whatever_pieces_arrive() -> None:
    said = as_line(DecodeProgress(done_seconds=1.5)) + as_line(Decoded(recording=RecordingFacts(read_seconds=2.0)))
    lines = Lines()
    heard = [message for at in range(len(said)) for message in lines.feed(said[at : at + 1])]
    assert heard == [DecodeProgress(done_seconds=1.5), Decoded(recording=RecordingFacts(read_seconds=2.0))]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\n",
        b"\xff\xfe\n",
        b'{"kind":"moved"}\n',
        b'{"kind":"moved","done_seconds":NaN}\n',
        b'{"kind":"moved","done_seconds":-1}\n',
        b'{"kind":"ready"}\n',
        b'{"kind":"noted","level":"critical","event":"x"}\n',
        b'{"kind":"noted","level":"info","event":"' + b"x" * 200 + b'"}\n',
        b'{"kind":"decoded","recording":{"read_seconds":1e999}}\n',
        b"x" * (LINE_LIMIT_BYTES + 1),
    ],
)
def test_what_is_no_message_is_refused(nonsense: bytes) -> None:
    with pytest.raises(BadLine):
        list(Lines().feed(nonsense))


def test_what_was_said_before_a_line_of_nonsense_is_heard() -> None:
    """Or the recording would not count as begun, and a decoder that it took over as one that never started."""
    coming = Lines().feed(as_line(OpeningFile()) + b"nonsense\n")
    assert next(coming) == OpeningFile()
    with pytest.raises(BadLine):
        next(coming)
