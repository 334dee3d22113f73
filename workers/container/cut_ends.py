"""Whether a stream ends in the middle of a frame: the only sign that the recording was cut off there.

Runs in: worker.
"""

from collections.abc import Callable

from workers.container.header_marks import (
    AC3_SYNC,
    FRAMES_HEAD,
    FRAMES_IN_A_ROW,
    LONGEST_MARK,
    PROGRAM_STREAM,
    frames_at,
    kind_at,
    mpeg_frame_bytes,
    tag_bytes,
)
from workers.container.size_fields import Extent
from workers.recording.recording_file import Recording

TAIL_BYTES = 128 << 10
TS_PACKET = 188
LONGEST_PAGE_BYTES = 27 + 255 + 255 * 255
SYNC_SEARCH_BYTES = 32 << 10


def ends_in_the_middle(file: Recording, extent: Extent, end: int) -> bool:
    """Whether the last frame, page or packet before `end` continues beyond it."""
    tail = file.read_at(max(extent.start, end - TAIL_BYTES), min(TAIL_BYTES, end - extent.start))
    match extent.kind:
        case "ogg":
            return _last_page_is_cut(tail)
        case "mpegts":
            head = file.read_at(extent.start, 3 * TS_PACKET)
            is_plain = head[:1] == head[TS_PACKET : TS_PACKET + 1] == b"G"
            return is_plain and (end - extent.start) % TS_PACKET != 0
        case "adts":
            return _last_frame_is_cut(tail, b"\xff", adts_frame_bytes)
        case _:
            pass
    head = file.read_at(extent.start, 4)
    for sync, frame_bytes in FRAMES.items():
        if head.startswith(sync):
            return _last_frame_is_cut(tail, sync, frame_bytes)
    if extent.kind == "raw":
        return _last_frame_is_cut(_without_tags(tail), b"\xff", mpeg_frame_bytes)
    return head == PROGRAM_STREAM and _last_pack_is_cut(tail)


def end_of_packets(file: Recording, start: int, end: int) -> int | None:
    """Where a broadcast of plain packets ends and frames of another kind begin; None: no such frames."""
    whole, behind = 0, (end - start) // TS_PACKET + 1
    if file.read_at(start, 1) != b"G":
        return None
    while behind - whole > 1:
        middle = (whole + behind) // 2
        if file.read_at(start + middle * TS_PACKET, 1) == b"G":
            whole = middle
        else:
            behind = middle
    at = start + behind * TS_PACKET
    head = file.read_at(at, FRAMES_HEAD)
    return at if at < end and (kind_at(head[:LONGEST_MARK]) or frames_at(head)) in ("adts", "raw") else None


def _last_page_is_cut(tail: bytes) -> bool:
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) - at > LONGEST_PAGE_BYTES:
        return False
    segments = tail[at + 26 : at + 27]
    if not segments or len(tail) < at + 27 + segments[0]:
        return True
    return at + 27 + segments[0] + sum(tail[at + 27 : at + 27 + segments[0]]) > len(tail)


def adts_frame_bytes(header: bytes) -> int:
    """The length in bytes of an AAC frame, from its ADTS header; 0: not a header."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0


AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_RATES = (48_000, 44_100, 32_000)
DTS_SYNC, LOAS_SYNC = b"\x7f\xfe\x80\x01", b"\x56"
LONGEST_HEADER = 8


def ac3_frame_bytes(header: bytes) -> int:
    """The length in bytes of an AC-3 or E-AC-3 frame, from its first bytes; 0: not a header."""
    if len(header) < 6 or not header.startswith(AC3_SYNC):
        return 0
    if header[5] >> 3 > 10:
        return 2 * (((header[2] & 7) << 8 | header[3]) + 1)
    rate, size = header[4] >> 6, header[4] & 63
    if rate > 2 or size >> 1 >= len(AC3_KBITS):
        return 0
    words = AC3_KBITS[size >> 1] * 96_000 // AC3_RATES[rate]
    return 2 * (words + (size & 1 if AC3_RATES[rate] == 44_100 else 0))


def dts_frame_bytes(header: bytes) -> int:
    """The length in bytes of a DTS frame, from its first bytes; 0: not a header."""
    if len(header) < 8 or not header.startswith(DTS_SYNC):
        return 0
    return ((header[5] & 3) << 12 | header[6] << 4 | header[7] >> 4) + 1


def loas_frame_bytes(header: bytes) -> int:
    """The length in bytes of an AAC frame in LOAS, from its first bytes; 0: not a header."""
    if len(header) < 3 or header[0] != LOAS_SYNC[0] or header[1] & 0xE0 != 0xE0:
        return 0
    return 3 + ((header[1] & 0x1F) << 8 | header[2])


FRAMES: dict[bytes, Callable[[bytes], int]] = {
    AC3_SYNC: ac3_frame_bytes,
    DTS_SYNC: dts_frame_bytes,
    LOAS_SYNC: loas_frame_bytes,
}
"""Sync bytes → the function that gives a frame's length."""


def _last_pack_is_cut(tail: bytes) -> bool:
    """Whether an MPEG program stream ends in the middle of a packet."""
    at = tail.find(PROGRAM_STREAM)
    while 0 <= at < len(tail):
        head = tail[at : at + 14]
        if head.startswith(PROGRAM_STREAM):
            # MPEG-2 packs begin with the bits 01 and may contain stuffing, MPEG-1 packs with 0010.
            size = 12 if len(head) > 4 and head[4] >> 6 == 0 else 14 + (head[13] & 7 if len(head) > 13 else 0)
        elif head.startswith(b"\0\0\x01\xb9"):
            size = 4
        elif head.startswith(b"\0\0\x01") and len(head) >= 6:
            size = 6 + int.from_bytes(head[4:6], "big")
        else:
            return len(head) < 6 and b"\0\0\x01".startswith(head[:3])
        at += size
    return at > len(tail)


def _without_tags(tail: bytes) -> bytes:
    """The bytes without the tags at the end of an MP3 file."""
    for name in (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3"):
        at = tail.rfind(name)
        if at >= 0 and (size := tag_bytes(tail[at : at + 64], len(tail) - at)) and at + size >= len(tail):
            tail = tail[:at]
    return tail


def _last_frame_is_cut(tail: bytes, sync: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    start = tail.find(sync, 0, SYNC_SEARCH_BYTES)
    while start >= 0:
        at, count = start, 0
        while size := frame_bytes(tail[at : at + LONGEST_HEADER]):
            at, count = at + size, count + 1
        if count >= FRAMES_IN_A_ROW:
            return at > len(tail) or (0 < len(tail) - at < LONGEST_HEADER and tail[at] == sync[0])
        start = tail.find(sync, start + 1, SYNC_SEARCH_BYTES)
    return False
