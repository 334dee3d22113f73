"""Long runs of zeros in a recording: space that a recorder preallocated, or that a disk lost. They contain no sound.

Runs in: worker. Holes of sparse files are skipped without a read.
"""

import errno
import os
from collections.abc import Callable

from workers.recording.recording_file import Recording

BLOCK_BYTES = 1 << 20
ZEROS = bytes(BLOCK_BYTES)

ReportAlive = Callable[[], None]
"""Called between reads, so that the worker sees that the decoder makes progress."""


def end_of_data(file: Recording, start: int, end: int, alive: ReportAlive) -> int:
    """The byte after the last non-zero byte in `start…end`; `start` if all are zero."""
    while start < end:
        alive()
        block_start = max(start, end - BLOCK_BYTES)
        if not _is_hole(file, block_start, end):
            block = file.read_at(block_start, end - block_start)
            if block != ZEROS[: len(block)]:
                return block_start + len(block.rstrip(b"\0"))
        end = block_start
    return end


def start_of_data(file: Recording, start: int, end: int, alive: ReportAlive) -> int:
    """The first non-zero byte in `start…end`; `end` if all are zero."""
    while start < end:
        alive()
        start = min(_end_of_hole(file, start), end)
        if start == end:
            return end
        block = file.read_at(start, min(BLOCK_BYTES, end - start))
        if not block:
            return end
        if block != ZEROS[: len(block)]:
            return start + len(block) - len(block.lstrip(b"\0"))
        start += len(block)
    return end


def _end_of_hole(file: Recording, offset: int) -> int:
    """Where data begins in a sparse file, as far as the file system reports it."""
    try:
        return os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError as error:
        # ENXIO: only a hole follows. Otherwise the file system does not report holes: read them.
        return file.size if error.errno == errno.ENXIO else offset


def _is_hole(file: Recording, start: int, end: int) -> bool:
    try:
        return os.lseek(file.fileno(), start, os.SEEK_DATA) >= end
    except OSError as error:
        return error.errno == errno.ENXIO
