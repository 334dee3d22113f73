"""One part of a recording as FFmpeg may read it: the part ends where the header of another recording begins.

Runs in: worker. FFmpeg reads a recording through this view, which searches each block on the way, so that no byte is
read twice.
"""

import errno
import os
import time
from bisect import bisect_right
from collections.abc import Callable

from workers.container.broadcast_tables import LOOK_BYTES, Streams, streams_of
from workers.container.header_marks import (
    FIRST_PAGE,
    FRAMES_HEAD,
    LONGEST_MARK,
    ContainerKind,
    frames_at,
    headers_in,
    kind_of,
    tag_bytes,
)
from workers.container.zero_runs import ZEROS, start_of_data
from workers.engine import EngineRefusal
from workers.recording.recording_file import Recording

BETWEEN_SIGNS_SECONDS = 0.1
MOST_OPENING_BYTES = 512 << 20
"""The index of ten hours of video is smaller. FFmpeg understands a header within this many bytes, or not at all."""
MOST_OPENING_SECONDS = 120.0
"""A slow share needs a second for what a disk delivers immediately; longer means a recording with endless headers."""
LEAST_ZEROS_PASSED = 64 << 10
"""A shorter run of zeros is read like any other bytes."""
NOT_ENDED_BY_TAGS: frozenset[ContainerKind] = frozenset({"adts", "mpegts", "ogg", "matroska"})
"""Radio and HLS put ID3 tags between their frames; their demuxers handle them."""


class RecordingView:
    """A file-like object over `prefix` and the bytes `start…end` of a recording."""

    def __init__(
        self,
        file: Recording,
        start: int,
        end: int,
        alive: Callable[[], None],
        *,
        kind: ContainerKind = "other",
        prefix: bytes = b"",
        endless: bool = False,
        scan_from: int | None = None,
    ) -> None:
        """`endless`: the part is one stream of frames; its end is unknown, and the view skips zeros in it.

        `scan_from`: from this byte of the recording on, the header of another recording ends the part.
        """
        self._file = file
        self._start, self.end = start, end
        self.alive = alive
        """Called as a sign of life while the caller reads the recording itself."""
        self._prefix = prefix
        self._endless = endless
        self._scanned_until = scan_from
        self._carry = b""
        self._kind = kind
        # Its own header does not end the part; that of a broadcast is compared with the later ones.
        self._last_mark = start - 1 if kind == "mpegts" else start
        self._sound_begun = False
        self._streams: Streams | None = None
        self._position = 0
        # Where zeros were skipped: positions as FFmpeg sees them, and the offsets in the recording.
        self._joints = [len(prefix)]
        self._bytes_at = [start]
        self._signed_at = 0.0
        self._opening_until: float | None = time.monotonic() + MOST_OPENING_SECONDS
        self._opening_bytes = 0
        self.read_until = start
        """How far FFmpeg has read."""
        self.zeros_passed = 0
        """Bytes that were skipped."""

    def opened(self) -> None:
        """FFmpeg has understood the headers: from now on it may read without a limit."""
        self._opening_until = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position, or -EINVAL, as FFmpeg's own files return it."""
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            if self._endless:
                return -errno.EINVAL
            offset += len(self._prefix) + self.end - self._start
        if offset < 0:
            return -errno.EINVAL
        self._position = offset
        return offset

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`. Raises OSError of the disk, and what the sign of life raises."""
        self._sign(size)
        if self._position < len(self._prefix):
            block = self._prefix[self._position : self._position + size]
            self._position += len(block)
            return block
        at = self.byte_at(self._position)
        block = self._file.read_at(at, min(size, self.end - at)) if at < self.end else b""
        if self._endless and len(block) >= 4096 and block == ZEROS[: len(block)]:
            data = start_of_data(self._file, at, self.end, self.alive)
            if data - at >= LEAST_ZEROS_PASSED:
                self._joints.append(self._position)
                self._bytes_at.append(data)
                self.zeros_passed += data - at
                if self._scanned_until == at:
                    self._scanned_until = data
                at = data
                block = self._file.read_at(at, min(size, self.end - at)) if at < self.end else b""
        block = self._up_to_a_header(block, at)
        self._position += len(block)
        self.read_until = max(self.read_until, at + len(block))
        return block

    def close(self) -> None:
        """Does not close the recording: others read it as well."""

    def byte_at(self, position: int) -> int:
        """The byte of the recording that FFmpeg sees at this position."""
        joint = bisect_right(self._joints, position) - 1
        return self._bytes_at[joint] + position - self._joints[joint]

    def _sign(self, size: int) -> None:
        now = time.monotonic()
        if now - self._signed_at >= BETWEEN_SIGNS_SECONDS:
            self._signed_at = now
            self.alive()
        if self._opening_until is not None:
            self._opening_bytes += size
            if now > self._opening_until or self._opening_bytes > MOST_OPENING_BYTES:
                raise EngineRefusal(
                    "not_media",
                    "no beginning of sound was found in its first "
                    f"{self._opening_bytes / 1e6:.0f} MB within {MOST_OPENING_SECONDS:.0f} s",
                    "convert it to WAV or FLAC",
                )

    def _up_to_a_header(self, block: bytes, at: int) -> bytes:
        """The part of a block before another recording begins. Each byte is searched once, in order."""
        seen = self._scanned_until
        if seen is None or at > seen or at + len(block) <= seen:
            return block
        new = block[seen - at :]
        window = self._carry + new
        window_at = seen - len(self._carry)
        self._scanned_until = at + len(block)
        mark = self._header_in(window, window_at)
        self._carry = window[-LONGEST_MARK:]
        if mark is None:
            return block
        self.end = mark
        return block[: max(mark - at, 0)]

    def _header_in(self, window: bytes, window_at: int) -> int | None:
        for found in headers_in(window):
            at = window_at + found.start()
            if at <= self._last_mark:
                continue
            self._last_mark = at
            kind = kind_of(found)
            if kind == "ogg" and self._kind == "ogg":
                # The first pages of all streams come together; a first page after sound begins another link.
                if not found["flags"][0] & FIRST_PAGE:
                    self._sound_begun = True
                elif self._sound_begun:
                    return at
            elif kind == "ogg":
                if found["flags"][0] & FIRST_PAGE:
                    return at
            elif self._kind == "ogg" and not self._sound_begun:
                continue  # FLAC in Ogg has its own header in the first page
            elif kind == "mpegts" == self._kind:
                # The table repeats: only another list of streams means another recording.
                if self._is_another_broadcast(at):
                    return at
            elif found["id3"] is None or self._kind not in NOT_ENDED_BY_TAGS or self._is_before_an_mp3(at):
                return at
        return None

    def _is_before_an_mp3(self, at: int) -> bool:
        """Whether the tag that begins here belongs to an MP3 after AAC, and not to the radio that sends AAC."""
        if self._kind != "adts":
            return False
        behind = at + tag_bytes(self._file.read_at(at, LONGEST_MARK), self._file.size - at)
        return frames_at(self._file.read_at(behind, FRAMES_HEAD)) == "raw"

    def _is_another_broadcast(self, at: int) -> bool:
        streams = streams_of(self._file.read_at(at, LOOK_BYTES))
        if streams is None:
            return False
        self._streams = self._streams or streams
        return streams != self._streams
