"""stdin, stdout and stderr as every command may use them: there, able to take any text, and named when they fail.

Runs in: the user's shell. All output passes here, rich's and typer's too: they write to sys.stdout and sys.stderr.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

STDOUT = "standard output"
"""The `filename` of an OSError that stdout raises."""
WITHOUT_UNICODE = {
    **dict.fromkeys("·–—─", "-"),
    **dict.fromkeys("“”", '"'),
    "…": ".",
    "→": ">",
    "×": "x",
    "✓": "+",
    "✗": "x",
    "━": "=",
    "•": "*",
}
"""For terminals and pipes with another encoding: one character each, so that tables keep their columns."""


class _Answers(io.TextIOWrapper):
    """stdout. An OSError of it says so in its `filename`."""

    def write(self, text: str, /) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


class _Talk(io.TextIOWrapper):
    """stderr. What cannot be written there is lost, and changes no exit code."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def standard_streams() -> Iterator[None]:
    """For as long as a command runs. One that the caller closed gets a stand-in: stdout's refuses every write."""
    codecs.register_error("without_unicode", _without_unicode)
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    # A file opened for reading answers each write with EBADF, as a closed stdout does.
    answers = _wrapped(_Answers, before[1], os.O_RDONLY)
    talk = _wrapped(_Talk, before[2], os.O_WRONLY)
    sys.stdout, sys.stderr = answers, talk
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename == STDOUT:
            _let_go()
        raise
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream, original in ((answers, before[1]), (talk, before[2])):
            if isinstance(stream, _Answers | _Talk) and original is not None:
                with suppress(OSError):
                    stream.detach()  # the original still writes there


def _wrapped(kind: type[io.TextIOWrapper], stream: TextIO | None, flags: int) -> TextIO:
    if stream is None:
        return kind(open(os.open(os.devnull, flags), "wb"), encoding="utf-8")  # noqa: PTH123
    if not hasattr(stream, "buffer"):
        return stream
    with suppress(OSError):
        stream.flush()
    return kind(
        stream.buffer, encoding=stream.encoding, errors="without_unicode", line_buffering=bool(stream.line_buffering)
    )


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = STDOUT
        raise


def _let_go() -> None:
    """What could not be written would be tried again at the end of the process, with a complaint of Python's own."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_unicode(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(WITHOUT_UNICODE.get(one) or ascii(one)[1:-1] for one in text), error.end
