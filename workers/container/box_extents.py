"""The extents of containers that nest boxes in boxes: MP4 and MOV, Matroska and WebM, AVI.

Runs in: worker. Reads only the outermost boxes: a few reads, however long the recording is.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from workers.container.header_marks import LONGEST_MARK, kind_at
from workers.container.size_fields import LEAST_ZERO_BYTES, Extent
from workers.container.zero_runs import ReportAlive, end_of_data
from workers.recording.recording_file import Recording

ASF_HEAD_BYTES = 64 << 10
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
MOST_BOXES = 1_000_000
BLOCK_BYTES = 1 << 20
INDEX = re.compile(rb"....moov....mvhd", re.DOTALL)
ENCRYPTED = re.compile(rb"(?:enca|drms|aavd)\x00{6}")
"""Sample entries of encrypted sound (DRM), for which FFmpeg has no key."""
LARGEST_INDEX_BYTES = 256 << 20
CLUSTER_LEVEL = (0x1F43B675, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1549A966, 0x1654AE6B, 0x114D9B74, 0x1941A469, 0xEC)
"""Matroska's elements directly below a segment."""
SEGMENT, EBML_HEADER, VOID = 0x18538067, 0x1A45DFA3, 0xEC


@dataclass(frozen=True, slots=True)
class Box:
    """One of MP4's boxes at the outermost level."""

    at: int
    name: bytes
    end: int
    header_bytes: int


def mp4_extent(file: Recording, start: int, alive: ReportAlive) -> Extent:
    """An MP4 or MOV file. If its size fields hide its index, FFmpeg gets corrected ones."""
    index, media, behind, end = None, None, False, start
    for box in _boxes(file, start):
        alive()
        if box.name == b"ftyp" and behind:
            break  # another file begins
        index = box if box.name == b"moov" else index
        behind = behind or box.name in (b"moov", b"mdat", b"moof")
        media = box if box.name == b"mdat" else media
        end = box.end
    whole = Extent(
        kind="mp4",
        start=start,
        sound_end=min(end, file.size),
        end=min(end, file.size),
        claimed_end=end if end > file.size else None,
    )
    if end == start:
        return replace(whole, sound_end=file.size, end=file.size)
    if index is not None or media is None:
        return whole
    return _with_its_index(file, start, media, whole, alive)


def _boxes(file: Recording, at: int) -> Iterator[Box]:
    for _ in range(MOST_BOXES):
        head = file.read_at(at, 16)
        if len(head) < 8 or not re.fullmatch(rb"[ -~\xa9]{4}", head[4:8]):
            return
        size, header_bytes = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header_bytes = int.from_bytes(head[8:16], "big"), 16
        end = file.size if size == 0 else at + size
        if end < at + header_bytes:
            return
        yield Box(at, head[4:8], end, header_bytes)
        at = end


def _with_its_index(file: Recording, start: int, media: Box, whole: Extent, alive: ReportAlive) -> Extent:
    """The same file, with a media box (mdat) that ends where the index begins."""
    at = media.at + media.header_bytes
    while at < file.size:
        alive()
        for found in INDEX.finditer(file.read_at(at, BLOCK_BYTES + 64)):
            index_at = at + found.start()
            size = int.from_bytes(found[0][:4], "big")
            if 16 <= size <= file.size - index_at:
                before = bytearray(file.read_at(start, media.at + media.header_bytes - start))
                length = index_at - media.at
                if media.header_bytes == 16:
                    before[-8:] = length.to_bytes(8, "big")
                elif length < 1 << 32:
                    before[-8:-4] = length.to_bytes(4, "big")
                else:
                    return whole
                end = index_at + size
                return replace(
                    whole, start=start + len(before), prefix=bytes(before), sound_end=end, end=end, claimed_end=None
                )
        at += BLOCK_BYTES
    return whole


def is_encrypted_mp4(file: Recording, start: int) -> bool:
    """Whether the index of an MP4 file says that its sound is encrypted."""
    for box in _boxes(file, start):
        if box.name == b"moov":
            index = file.read_at(box.at, min(box.end - box.at, LARGEST_INDEX_BYTES))
            return ENCRYPTED.search(index) is not None
    return False


def matroska_extent(file: Recording, start: int, alive: ReportAlive) -> Extent:
    """A Matroska or WebM file. If the size of its segment is out of date, FFmpeg gets one of unknown size."""
    header = _element(file, start)
    at = start if header is None or header[2] is None else header[2]
    segment = _element(file, at)
    while segment is not None and segment[0] == VOID and segment[2] is not None:
        at = segment[2]
        segment = _element(file, at)
    endless = Extent(kind="matroska", start=start, sound_end=file.size, end=file.size, scan_from=start)
    if segment is None or segment[0] != SEGMENT:
        return endless
    if segment[2] is None:
        return replace(endless, claimed_end=_end_of_elements(file, segment[1], alive))
    begin, end = segment[1], segment[2]
    if end > file.size:
        return replace(endless, claimed_end=end, scan_from=None)
    behind = _element(file, end)
    if behind is None or behind[0] not in CLUSTER_LEVEL:
        return replace(endless, sound_end=end, end=end, scan_from=None)
    before = bytearray(file.read_at(start, begin - start))
    size_bytes = begin - at - 4
    before[-size_bytes:] = ((1 << 7 * size_bytes) - 1 | 1 << 7 * size_bytes).to_bytes(size_bytes, "big")
    return replace(endless, start=begin, prefix=bytes(before), scan_from=end, claimed_end=end, read_on=True)


def _end_of_elements(file: Recording, at: int, alive: ReportAlive) -> int | None:
    """Where the last element of a segment would end, if that is beyond the file; None: it is whole, or its size is
    unknown."""
    while at < file.size:
        alive()
        element = _element(file, at)
        if element is None or element[2] is None:
            return None
        at = element[2]
    return at if at > file.size else None


def _element(file: Recording, at: int) -> tuple[int, int, int | None] | None:
    """An EBML element: its ID, where its content begins and ends (None: unknown size); None: no element."""
    head = file.read_at(at, 12)
    if len(head) < 2 or not head[0]:
        return None
    name_bytes = 9 - head[0].bit_length()
    if name_bytes > 4 or len(head) <= name_bytes or not head[name_bytes]:
        return None
    size_bytes = 9 - head[name_bytes].bit_length()
    if len(head) < name_bytes + size_bytes:
        return None
    size = int.from_bytes(head[name_bytes : name_bytes + size_bytes], "big") & (1 << 7 * size_bytes) - 1
    begin = at + name_bytes + size_bytes
    unknown = size == (1 << 7 * size_bytes) - 1
    return int.from_bytes(head[:name_bytes], "big"), begin, None if unknown else begin + size


def asf_claimed_end(file: Recording, start: int) -> int | None:
    """The end that the header of a Windows Media file claims; None: it claims none."""
    head = file.read_at(start, ASF_HEAD_BYTES)
    at = head.find(ASF_PROPERTIES)
    size = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    return start + size if size else None


def avi_extent(file: Recording, start: int, alive: ReportAlive) -> Extent:
    """An AVI file with all its RIFF parts; each has its own size field."""
    at = start
    while at < file.size:
        alive()
        head = file.read_at(at, LONGEST_MARK)
        if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX") and (at == start or head[8:12] == b"AVIX"):
            (size,) = struct.unpack("<I", head[4:8])
            at += 8 + size + size % 2
        elif kind_at(head):
            return Extent(kind="avi", start=start, sound_end=at, end=at)
        else:
            break
    end = end_of_data(file, start, file.size, alive)
    zeros = file.size - end if file.size - end >= LEAST_ZERO_BYTES else 0
    return Extent(
        kind="avi",
        start=start,
        sound_end=file.size - zeros,
        end=file.size,
        claimed_end=at if at > file.size + 1 else None,
        zero_bytes=zeros,
    )
