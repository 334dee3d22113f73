"""The folder of uploaded recordings: each is written while it is hashed, and found again by its content.

Runs in: supervisor.

`uploads/SHA256/NAME` is a whole recording, the only file there; `uploads/.receiving-…` one that is still being
received. Only a folder that a job reads stays.
"""

import asyncio
import errno
import hashlib
import secrets
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import psutil

from supervisor.api.dialects import encodable
from supervisor.system.refused import RequestRefused
from supervisor.system.reload import LiveSettings

BLOCK_BYTES = 1_048_576
"""Written and hashed together, in a thread: a slow disk does not hold up other clients."""
RECEIVING = ".receiving-"
GOING = ".going-"
RESULTS = "results"
"""The folder beside the recording that its job writes into."""
LONGEST_NAME_BYTES = 200
UNNAMED = "recording"
WAV_HEADER_BYTES = 44

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Raw samples without a header; little-endian, signed unless they are bytes."""

    rate: int = 16_000
    """Samples a second."""
    width: int = 2
    """Bytes of a sample, 1 to 4."""
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Upload:
    """A recording that was received whole. Its folder is held: `UploadSpool.release` gives it up."""

    file: Path
    """In a folder named by its content."""
    sha256: str
    size_bytes: int
    """Of the recording as it was sent."""


class Receiver:
    """One recording that is being received. `finish` makes it an Upload; `discard` deletes it."""

    def __init__(self, spool: "UploadSpool", folder: Path, name: str, pcm: PcmFormat | None) -> None:
        self._spool = spool
        self._folder = folder
        (folder / RESULTS).mkdir()
        self._file: IO[bytes] = (folder / name).open("xb")
        self._name = name
        self._pcm = pcm
        self._hash = hashlib.sha256()
        self._block = bytearray()
        self.size_bytes = 0
        if pcm is not None:
            self._file.write(bytes(WAV_HEADER_BYTES))
            # Other samples are another recording, whatever their bytes.
            self._hash.update(repr(pcm).encode())

    async def write(self, chunk: bytes) -> None:
        """Raises RequestRefused: `file_too_large`, `disk_full`."""
        self.size_bytes += len(chunk)
        self._spool.refuse_if_too_large(self.size_bytes)
        self._block += chunk
        if len(self._block) >= BLOCK_BYTES:
            await self._flush()

    async def finish(self) -> Upload:
        """The whole recording; one that is there already is used instead. Raises RequestRefused."""
        if self.size_bytes == 0:
            raise RequestRefused(400, "audio_unreadable", "the uploaded file is empty", "send a recording")
        await self._flush()
        sha256 = self._hash.hexdigest()
        kept = self._spool.folder / sha256
        # Held from now on, before the thread looks: a folder with the same content may be about to go.
        self._spool.hold(kept)
        try:
            return await self._guarded(lambda: self._put_in_place(kept, sha256))
        except BaseException:
            await self._spool.release(kept)
            raise

    async def discard(self) -> None:
        """Deletes what was received. Does nothing after `finish`."""
        self._file.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _flush(self) -> None:
        block, self._block = bytes(self._block), bytearray()
        await self._guarded(lambda: self._write_block(block))

    def _write_block(self, block: bytes) -> None:
        self._spool.refuse_if_disk_is_full()
        self._hash.update(block)
        self._file.write(block)

    def _put_in_place(self, kept: Path, sha256: str) -> Upload:
        if self._pcm is not None:
            self._file.seek(0)
            self._file.write(wav_header(self.size_bytes, self._pcm))
        self._file.close()
        try:
            self._folder.rename(kept)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(self._folder, ignore_errors=True)
        recording = next(one for one in kept.iterdir() if one.is_file())
        return Upload(recording, sha256, self.size_bytes)

    async def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise disk_refusal(self._spool.folder, error) from error


class UploadSpool:
    """Owns the folder. One for the daemon."""

    def __init__(self, folder: Path, settings: LiveSettings) -> None:
        self.folder = folder
        self._settings = settings
        self._receiving = 0
        self._holders: Counter[Path] = Counter()
        """Folder → the requests and jobs that need it."""

    @asynccontextmanager
    async def receiving(self, name: str | None, pcm: PcmFormat | None = None) -> AsyncIterator[Receiver]:
        """A place for one recording; what is not finished at the end is deleted.

        `name`: as the client calls the file. `pcm`: what comes are raw samples; a WAV header is put before them.
        Raises RequestRefused: `too_many_uploads`, `disk_full`.
        """
        current = self._settings.current
        if self._receiving >= current.http.most_uploads:
            raise RequestRefused(
                429, "too_many_uploads", f"{self._receiving} uploads are in progress", "retry in a moment"
            )
        self._receiving += 1
        try:
            receiver = await self._begin(file_name(name, is_pcm=pcm is not None), pcm)
            try:
                yield receiver
            finally:
                # Also when the request is cancelled: the thread then ends later than the request.
                await asyncio.shield(receiver.discard())
        finally:
            self._receiving -= 1

    async def _begin(self, name: str, pcm: PcmFormat | None) -> Receiver:
        def begin() -> Receiver:
            self.refuse_if_disk_is_full()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Receiver(self, Path(tempfile.mkdtemp(prefix=RECEIVING, dir=self.folder)), name, pcm)

        try:
            return await asyncio.to_thread(begin)
        except OSError as error:
            raise disk_refusal(self.folder, error) from error

    def refuse_if_too_large(self, size_bytes: int) -> None:
        """Raises RequestRefused with 413."""
        most_bytes = self._settings.current.http.most_upload_mb * 1_000_000
        if size_bytes > most_bytes:
            raise RequestRefused(
                413,
                "file_too_large",
                f"Maximum content size limit ({most_bytes}) exceeded ({size_bytes} bytes read)",
                "raise http.most_upload_mb, or submit the file with `steno submit`",
            )

    def refuse_if_disk_is_full(self) -> None:
        """Raises RequestRefused with 429: a client that waits may succeed. Raises OSError."""
        floor_mb = self._settings.current.media.free_disk_floor_mb
        place = self.folder if self.folder.exists() else self.folder.parent
        free_mb = psutil.disk_usage(str(place)).free // 1_000_000
        if free_mb < floor_mb:
            raise RequestRefused(
                429, "disk_full", f"only {free_mb} MB are free where {self.folder} is", "free some space, and retry"
            )

    def folders(self) -> list[Path]:
        """Every recording's folder, and what a killed daemon was receiving. Raises OSError."""
        return sorted(self.folder.iterdir()) if self.folder.exists() else []

    def hold(self, folder: Path) -> None:
        """One more request or job needs the folder."""
        self._holders[folder] += 1

    async def release(self, folder: Path) -> None:
        """One fewer needs it; the last one deletes it."""
        self._holders[folder] -= 1
        if self._holders[folder] <= 0:
            del self._holders[folder]
            await self.remove(folder)

    async def remove(self, folder: Path) -> None:
        """Deletes one of them with its recording."""
        assert folder.parent == self.folder, folder
        # Renamed in this step of the loop: an upload of the same content, from now on, makes a folder of its own.
        going = folder.with_name(f"{GOING}{secrets.token_hex(8)}")
        with suppress(OSError):
            folder.rename(going)  # noqa: ASYNC240  our own disk, and no step may come between
        await asyncio.to_thread(shutil.rmtree, going, ignore_errors=True)


def file_name(name: str | None, *, is_pcm: bool = False) -> str:
    """A safe name for the recording: the last part of what the client calls it."""
    last = PurePosixPath((name or "").replace("\\", "/").replace("\0", "")).name
    last = encodable(last).encode()[-LONGEST_NAME_BYTES:].decode("utf-8", "ignore").lstrip(".").strip()
    last = "".join(letter if letter.isprintable() else "_" for letter in last) or UNNAMED
    last = f"_{last}" if last == RESULTS else last
    return f"{last}.wav" if is_pcm else last


def wav_header(size_bytes: int, pcm: PcmFormat) -> bytes:
    """The header of a WAV file with this many bytes of these samples.

    Past 4 GiB the sizes say "until the end of the file", as FFmpeg writes them to a pipe.
    """
    riff, data = (min(size_bytes + extra, 0xFFFFFFFF) for extra in (WAV_HEADER_BYTES - 8, 0))
    frame = pcm.width * pcm.channels
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI",
        *(riff, b"WAVE", b"fmt ", 16, 1, pcm.channels, pcm.rate, pcm.rate * frame, frame, 8 * pcm.width),
        *(b"data", data),
    )


def disk_refusal(folder: Path, error: OSError) -> RequestRefused:
    """What a client is told when the disk refused the upload."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RequestRefused(429, "disk_full", f"no space is left where {folder} is", "free some space, and retry")
    return RequestRefused(
        503, "upload_not_stored", f"{folder} cannot be written: {error.strerror}", "check the disk, retry"
    )
