"""A recording that is being read: each read counts as progress, and the content is hashed on the way.

Runs in: worker (the decoder).
"""

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from workers.recording.recording_file import Recording, refuse_changed, refuse_unreadable

BLOCK_BYTES = 1024 * 1024
MOST_AHEAD = 100_000
"""The number of out-of-order reads that are remembered: enough for a few gigabytes of pictures."""


class ReadRecording(Recording):
    """Computes the hash of the whole file at almost no cost if it is read from its beginning to its end."""

    def __init__(self, descriptor: int, moved: Callable[[], None]) -> None:
        """`moved` is called after every read. The caller closes the descriptor."""
        super().__init__(descriptor)
        self._moved = moved
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0
        """From the beginning on."""
        self._ahead: list[tuple[int, int, int]] = []
        """Offset, bytes and checksum of the reads ahead of the hash."""

    def read_at(self, offset: int, size: int) -> bytes:
        """As `Recording.read_at`; hashes the bytes if they follow those hashed so far."""
        piece = super().read_at(offset, size)
        self._moved()
        end = offset + len(piece)
        if offset <= self._hashed_bytes < end:
            self._hash.update(memoryview(piece)[self._hashed_bytes - offset :])
            self._hashed_bytes = end
        elif offset > self._hashed_bytes and piece and len(self._ahead) <= MOST_AHEAD:
            self._ahead.append((offset, len(piece), zlib.crc32(piece)))
        return piece

    def sha256(self) -> str:
        """Of the whole content; reads what the decoder skipped. Raises OSError."""
        return self._read_on(self._hash.copy(), self._hashed_bytes)

    def refuse_unless_unchanged(self, path: Path, sha256: str) -> None:
        """Raises EngineRefusal `changed_while_read` if the file may differ from what was decoded.

        A program can set size and mtime back, but not ctime. A rename changes ctime too: then the content is compared
        with `sha256`.
        """
        try:
            now = os.fstat(self.fileno())
            if now.st_ctime_ns == self._as_opened.st_ctime_ns and not self.has_changed:
                return
            if self.has_changed or sha256 != self._read_on(hashlib.sha256(), 0) or not self._reads_the_same_ahead():
                refuse_changed(path)
        except OSError as error:
            refuse_unreadable(path, error)

    def _reads_the_same_ahead(self) -> bool:
        if len(self._ahead) > MOST_AHEAD:
            return False  # it is not known
        return all(zlib.crc32(super(ReadRecording, self).read_at(at, size)) == sum_ for at, size, sum_ in self._ahead)

    def _read_on(self, digest: "hashlib._Hash", at: int) -> str:
        while piece := os.pread(self.fileno(), BLOCK_BYTES, at):
            self._moved()
            digest.update(piece)
            at += len(piece)
        return digest.hexdigest()
