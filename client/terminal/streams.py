"""stdin, stdout and stderr as every command may use them: there, able to take any text, and named when they fail.

Runs in: the user's shell. All output passes here, rich's and typer's too: they write to sys.stdout and sys.stderr.
"""

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from client.terminal import exit_codes, output

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


class _Stream(io.TextIOWrapper):
    """An OSError of stdout has it as its `filename`. What stderr cannot take is lost, and changes no exit code."""

    is_stderr = False

    def write(self, text: str, /) -> int:
        with self._told():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = STDOUT
            if not self.is_stderr:
                raise


def with_streams(run: Callable[[], None]) -> None:
    """Runs a command. Where its output cannot be written it ends with a sentence and NOT_WRITTEN."""
    try:
        with _standard_streams():
            run()
    except OSError as error:
        if error.filename != STDOUT:
            raise
        if isinstance(error, BrokenPipeError):
            sys.exit(exit_codes.UNHEALTHY)  # a reader that left, as `head` does, needs no sentence
        output.say_error(f"{STDOUT} cannot be written: {error.strerror}", "the rest of the output is lost")
        sys.exit(exit_codes.NOT_WRITTEN)


@contextmanager
def _standard_streams() -> Iterator[None]:
    """A closed one is replaced; the new stdout refuses every write."""
    codecs.register_error("without_unicode", _without_unicode)
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    # A file opened for reading answers each write with EBADF, as a closed stdout does.
    sys.stdout, sys.stderr = _wrapped(before[1], os.O_RDONLY), _wrapped(before[2], os.O_WRONLY)
    ours = sys.stdout, sys.stderr
    if isinstance(sys.stderr, _Stream):
        sys.stderr.is_stderr = True
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # a command ends with SystemExit, and what it printed may still be in the buffer
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream, original in zip(ours, before[1:], strict=True):
            if isinstance(stream, _Stream) and original is not None:
                _release(stream)


def _release(stream: _Stream) -> None:
    """The original writes to the same buffer again."""
    try:
        stream.detach()
    except OSError:
        # What is left would be tried again when the process ends, with a complaint of Python's own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.detach()


def _wrapped(stream: TextIO | None, flags: int) -> TextIO:
    if stream is None:
        return _Stream(open(os.open(os.devnull, flags), "wb"), encoding="utf-8")  # noqa: PTH123
    if not hasattr(stream, "buffer"):
        return stream
    with suppress(OSError):
        stream.flush()
    is_line_buffered = bool(stream.line_buffering)
    return _Stream(stream.buffer, stream.encoding, "without_unicode", line_buffering=is_line_buffered)


def _without_unicode(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(WITHOUT_UNICODE.get(one) or ascii(one)[1:-1] for one in text), error.end
