"""Whether a stream of frames ends in the middle of one: the only trace of a recording that was cut off there.

Runs in: worker.
"""

from collections.abc import Callable

from workers.header_marks import FRAMES_IN_A_ROW, mpeg_frame_bytes, tag_bytes
from workers.recording_file import Recording
from workers.size_fields import Extent

TAIL_BYTES = 128 << 10
TS_PACKET = 188
LONGEST_PAGE_BYTES = 27 + 255 + 255 * 255
SYNC_SEARCH_BYTES = 32 << 10


def ends_in_the_middle(file: Recording, extent: Extent, end: int) -> bool:
    """Whether the frame, page or packet that stands last before `end` goes on behind it."""
    tail = file.read_at(max(extent.start, end - TAIL_BYTES), min(TAIL_BYTES, end - extent.start))
    match extent.kind:
        case "ogg":
            return _last_page_is_cut(tail)
        case "mpegts":
            head = file.read_at(extent.start, 3 * TS_PACKET)
            is_plain = head[:1] == head[TS_PACKET : TS_PACKET + 1] == b"G"
            return is_plain and (end - extent.start) % TS_PACKET != 0
        case "adts":
            return _last_frame_is_cut(tail, adts_frame_bytes)
        case "raw":
            return _last_frame_is_cut(_without_tags(tail), mpeg_frame_bytes)
        case _:
            return False


def _last_page_is_cut(tail: bytes) -> bool:
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) - at > LONGEST_PAGE_BYTES:
        return False
    segments = tail[at + 26 : at + 27]
    if not segments or len(tail) < at + 27 + segments[0]:
        return True
    return at + 27 + segments[0] + sum(tail[at + 27 : at + 27 + segments[0]]) > len(tail)


def adts_frame_bytes(header: bytes) -> int:
    """The length of a frame of AAC by the bytes of its ADTS header; 0: they are none."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0


def _without_tags(tail: bytes) -> bytes:
    """The bytes before tags that stand at the end of an MP3 file."""
    for name in (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3"):
        at = tail.rfind(name)
        if at >= 0 and (size := tag_bytes(tail[at : at + 64], len(tail) - at)) and at + size >= len(tail):
            tail = tail[:at]
    return tail


def _last_frame_is_cut(tail: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    for start in range(min(len(tail), SYNC_SEARCH_BYTES)):
        if tail[start] != 0xFF:
            continue
        at = start
        count = 0
        while size := frame_bytes(tail[at : at + 7]):
            at, count = at + size, count + 1
        if count >= FRAMES_IN_A_ROW:
            return at > len(tail) or (0 < len(tail) - at < 7 and tail[at] == 0xFF)
    return False
