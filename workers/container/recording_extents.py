"""A recording as a sequence of containers: where each begins, and what follows it.

Runs in: worker. `cat a.wav b.flac`, the links of a web radio, a card recorder's parts: each is opened separately.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from workers.container.box_extents import ASF, asf_claimed_end, avi_extent, matroska_extent, mp4_extent
from workers.container.header_marks import (
    FIRST_PAGE,
    FRAMES_HEAD,
    LONGEST_MARK,
    ContainerKind,
    first_frames,
    frames_at,
    headers_in,
    kind_at,
    tag_bytes,
)
from workers.container.sample_headers import samples_at
from workers.container.size_fields import LEAST_ZERO_BYTES, Extent, samples_extent
from workers.container.zero_runs import ReportAlive, end_of_data, start_of_data
from workers.recording.recording_file import Recording

WAVPACK_SYNC = b"wvpk"
WAVPACK_BLOCK = re.compile(WAVPACK_SYNC + rb"...\x00[\x02-\x10]\x04", re.DOTALL)
BLOCK_BYTES = 1 << 20
STREAMS: frozenset[ContainerKind] = frozenset({"flac", "ogg", "mpegts", "adts", "raw"})
"""Containers that are read sequentially; the others have an index."""
GARBAGE_BYTES = 4 << 20
"""How far beyond garbage the first header is searched for."""


def extent_at(file: Recording, start: int, alive: ReportAlive) -> Extent:
    """The extent of the container that begins at this byte."""
    kind = _kind_at(file, start)
    match kind:
        case "wav" | "w64" | "aiff" | "caf" | "au":
            samples = samples_at(file, start, kind)
            if samples is not None:
                return samples_extent(file, samples, alive)
        case "mp4":
            return mp4_extent(file, start, alive)
        case "matroska":
            return matroska_extent(file, start, alive)
        case "avi":
            return avi_extent(file, start, alive)
        case _:
            pass
    end = end_of_data(file, start, file.size, alive)
    zeros = file.size - end
    is_stream = kind in STREAMS
    return Extent(
        kind=kind or "other",
        start=start,
        sound_end=end if zeros >= LEAST_ZERO_BYTES else file.size,
        end=file.size,
        endless=is_stream,
        scan_from=start if is_stream else None,
        claimed_end=asf_claimed_end(file, start) if file.read_at(start, 8) == ASF else None,
        zero_bytes=zeros if zeros >= LEAST_ZERO_BYTES else 0,
    )


def _kind_at(file: Recording, start: int) -> ContainerKind | None:
    head = file.read_at(start, FRAMES_HEAD)
    if kind := kind_at(head[:LONGEST_MARK]):
        return "raw" if head.startswith(b"ID3") else kind
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    return frames_at(head)


def parts_of(extent: Extent) -> Iterator[Extent]:
    """An extent, split into parts of the size that FFmpeg accepts."""
    while extent.most_bytes is not None and extent.sound_end - extent.start > extent.most_bytes:
        yield replace(extent, sound_end=extent.start + extent.most_bytes)
        extent = replace(extent, start=extent.start + extent.most_bytes)
    yield extent


def next_start(file: Recording, at: int, alive: ReportAlive) -> int:
    """The first byte from `at` on that is neither zeros nor a tag; the file's size if there is none."""
    while at < file.size and _kind_at(file, at) in (None, "raw"):
        behind = _behind_tags(file, _behind_zeros(file, at, alive))
        if behind == at:
            break
        at = behind
    return at


def _behind_zeros(file: Recording, at: int, alive: ReportAlive) -> int:
    data = start_of_data(file, at, file.size, alive)
    # The first bytes of a header may be zeros themselves.
    return next((data - back for back in range(min(4, data - at), 0, -1) if _kind_at(file, data - back)), data)


def next_header(file: Recording, at: int, alive: ReportAlive, within: int | None = None) -> int:
    """The offset of the next header that is known for certain, from `at` on; the file's size if there is none.

    Within the first `within` bytes, consecutive frames without a header count as one.
    """
    limit, otherwise = file.size, file.size
    if within is not None:
        limit = min(at + within, file.size)
        frames = first_frames(file.read_at(at, within))
        if frames is not None:
            limit = otherwise = at + frames
    while at < limit:
        alive()
        at = start_of_data(file, at, file.size, alive)
        for found in headers_in(file.read_at(at, BLOCK_BYTES + LONGEST_MARK)):
            if found["ogg"] is None or found["flags"][0] & FIRST_PAGE:
                return min(at + found.start(), otherwise)
        at += BLOCK_BYTES
    return otherwise


def next_block(file: Recording, at: int, end: int, alive: ReportAlive) -> int | None:
    """The offset of the next block of the same WavPack recording; None: another header comes first."""
    while at < end:
        alive()
        at = min(start_of_data(file, at, end, alive), end)
        block = file.read_at(at, min(BLOCK_BYTES + LONGEST_MARK, end - at))
        for found in WAVPACK_BLOCK.finditer(block):
            if kind_at(block[found.start() : found.start() + LONGEST_MARK]):
                return None
            return at + found.start()
        at += BLOCK_BYTES
    return None


def _behind_tags(file: Recording, at: int) -> int:
    while at < file.size and (size := tag_bytes(file.read_at(at, 64), file.size - at)):
        at += size
    return at
