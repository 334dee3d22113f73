"""The daemon's log: readable on a terminal, one JSON object a line otherwise.

Runs in: supervisor and worker.
"""

import contextlib
import io
import logging
import os
import stat
import sys
from datetime import datetime
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from config.ownership import make_private, open_own

FILE_BYTES = 10_000_000
FILES_KEPT = 3


def start_logging(
    level: str, json_lines: bool, file: Path | None = None, *, owns_file: bool = False, quiet: bool = False
) -> None:
    """Sends structlog's events to stderr from now on, dropping those below `level` (debug, info, warning, error).

    The caller decides on `json_lines`, usually `not sys.stderr.isatty()`. Times are ISO 8601 in UTC;
    a terminal gets the local time of day.
    `file` gets every event as a JSON line too; the one process that `owns_file` rotates it when it is full.
    `quiet` writes nothing to stderr if that file could be opened: launchd never rotates its copy of stderr.
    Events of libraries that use `logging` get the same format, from warning up; lower levels are dropped.
    Tracebacks never show local variables: those may contain the words of a recording.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    facts: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    line: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json_lines
        else [
            _time_of_day,
            _escape_controls,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    copies: list[Processor] = []
    unwritable: OSError | None = None
    if file is not None:
        try:
            copies.append(_JsonLinesCopy(file, owns_file))
        except OSError as error:
            unwritable = error  # the daemon itself checks whether it can run without its folders
    stream: TextIO = _DiscardingStream() if quiet and copies else _BestEffortStderr()
    structlog.configure(
        processors=[*facts, *copies, *line],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        # Loggers made at import time must follow a later call: the private daemon and the tests make one.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, *copies, *line], foreign_pre_chain=facts
        )
    )
    libraries = logging.getLogger()
    libraries.handlers[:] = [handler]
    libraries.setLevel(max(least, logging.WARNING))
    if unwritable is not None:
        structlog.get_logger().warning("log_file_unavailable", file=str(file), error=str(unwritable))


def set_level(level: str) -> None:
    """Changes the lowest level that is logged, in this process only."""
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(least))
    logging.getLogger().setLevel(max(least, logging.WARNING))


def cut_back_stderr() -> None:
    """Empties stderr if it is a file that has grown beyond FILE_BYTES: its creator never rotates it."""
    with contextlib.suppress(OSError):  # closed, or not writable: left unchanged
        found = os.fstat(2)
        if stat.S_ISREG(found.st_mode) and found.st_size > FILE_BYTES:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)


class _DiscardingStream(io.StringIO):
    """A stream that discards everything."""

    def write(self, text: str, /) -> int:
        return len(text)


class _BestEffortStderr(io.StringIO):
    """The current sys.stderr. A write that fails, as on a full disk, loses that line and raises nothing:
    logging must not stop the work that it reports."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def _open_log(handler: logging.FileHandler) -> TextIO:
    """For appending, and only if the file is ours: a link in its place may point to another program's file."""
    descriptor = open_own(Path(handler.baseFilename), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return open(descriptor, "a", encoding="utf-8")  # noqa: PTH123 - the handler closes it


class _OwnRotatingFile(RotatingFileHandler):
    def _open(self) -> TextIO:  # type: ignore[override]  # typeshed names the wrapper
        return _open_log(self)


class _OwnWatchedFile(WatchedFileHandler):
    def _open(self) -> TextIO:  # type: ignore[override]  # typeshed names the wrapper
        return _open_log(self)


class _JsonLinesCopy:
    """A structlog processor that returns the event unchanged and also writes it to the file as a JSON line."""

    def __init__(self, file: Path, owns_file: bool) -> None:
        make_private(file.parent)
        os.close(open_own(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
        self._handler: logging.Handler = (
            _OwnRotatingFile(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True)
            if owns_file
            # Notices that the owner rotated the file, and opens the new one.
            else _OwnWatchedFile(file, encoding="utf-8", delay=True)
        )
        self._render = structlog.processors.JSONRenderer()

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        copy = structlog.processors.format_exc_info(logger, name, dict(event))
        line = self._render(logger, name, copy)
        self._handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))
        return event


def _time_of_day(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """For a person at the terminal: local, to the second. The file keeps the whole time."""
    at = datetime.fromisoformat(event["timestamp"]).astimezone()
    return {**event, "timestamp": f"{at:%H:%M:%S}"}


def _escape_controls(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """A file's name may contain escape sequences; a terminal must not obey them. JSON escapes them already."""
    return {field: _visible(fact) if isinstance(fact, str) else fact for field, fact in event.items()}


def _visible(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
