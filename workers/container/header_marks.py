"""The magic bytes of recordings: which format begins at a byte, and where the next recording begins.

Runs in: worker. Pure.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

ContainerKind = Literal[
    "wav", "avi", "w64", "aiff", "au", "caf", "flac", "ogg", "mp4", "matroska", "mpegts", "adts", "raw", "other"
]
"""A container format; `raw`: consecutive frames without a container; `other`: left to FFmpeg."""

LONGEST_MARK: Final = 96
"""Bytes that are enough to recognise a header."""

# Each has at least eight significant bytes: they do not occur by chance in compressed sound or in samples.
_HEADERS = rb"""
  (?P<wav>     (?:RIFF|RF64|BW64)....WAVE(?:fmt\x20|JUNK|junk|bext|LIST|ds64|fact|PAD\x20|FLLR|iXML|id3\x20|ID3\x20))
 |(?P<avi>     RIFF....AVI\x20LIST)
 |(?P<w64>     riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00)
 |(?P<aiff>    FORM....AIF[FC](?:COMM|FVER|NAME|ANNO|MARK|INST|COMT|AUTH|\(c\)\x20|SSND|APPL|ID3\x20|CHAN))
 |(?P<au>      \.snd\x00\x00[\x00-\x0f][\x18-\xff]....\x00\x00\x00[\x01-\x1b]\x00[\x00-\x05]..\x00\x00\x00[\x01-\x20])
 |(?P<caf>     caff\x00\x01\x00\x00desc)
 |(?P<flac>    fLaC[\x00\x80]\x00\x00\x22)
 |(?P<mp4>     \x00\x00[\x00\x01].ftyp[\x20-\x7e]{4})
 |(?P<matroska>\x1a\x45\xdf\xa3.{0,48}?\x42\x82(?:\x84webm|\x88matroska))
 |(?P<asf>     \x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c)
 |(?P<flv>     FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00)
 |(?P<tta>     TTA1[\x01\x02]\x00[\x01-\x08]\x00[\x08-\x20]\x00)
 |(?P<wavpack> wvpk...\x00[\x02-\x10]\x04.{6}\x00{4})
 |(?P<amr>     \#!AMR(?:-WB)?\n)
 |(?P<mpegts>  G@\x00.\x00\x00\xb0[\x0d-\xff]..[\xc1\xc3-\xff]\x00\x00)
 |(?P<id3>     ID3[\x02\x03\x04]\x00[\x00\x10\x20\x40\x80\xc0][\x00-\x7f]{4})
"""
_OGG_PAGE = rb"|(?P<ogg>OggS\x00(?P<flags>[\x00-\x07])(?P<granule>.{8}))"

_HEADER: Final = re.compile((_HEADERS + _OGG_PAGE).replace(b"\n", b""), re.DOTALL | re.VERBOSE)
_FIRST_LETTERS = frozenset(
    (
        *b"RIF RF6 BW6 rif FOR .sn caf fLa FLV #!A ID3 Ogg fty TTA wvp".split(),
        b"\x1aE\xdf",
        b"0&\xb2",
        b"G@\0",
    )
)
"""The first bytes of every header (of an MP4 file: from its fifth byte)."""


def _pairs() -> NDArray[np.bool_]:
    """Shape (65536,): whether a pair of bytes, as one number, occurs in one of these beginnings."""
    pairs = np.zeros(1 << 16, np.bool_)
    for word in _FIRST_LETTERS:
        pairs[word[0] | word[1] << 8] = pairs[word[1] | word[2] << 8] = True
    return pairs


_PAIRS = _pairs()
_AT_ONCE = 36 << 10
"""Bytes that fit into the processor's cache: a block as FFmpeg reads it, with the end of the block before."""
_KINDS: dict[str, ContainerKind] = {
    "asf": "other",
    "flv": "other",
    "tta": "other",
    "wavpack": "other",
    "amr": "raw",
    "id3": "raw",
}

FIRST_PAGE = 2
"""The flag of an Ogg page that begins a stream."""
TS_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Bytes in a packet, and the offset of its first sync byte."""
TS_SYNC, AC3_SYNC = 0x47, b"\x0b\x77"
PROGRAM_STREAM = b"\0\0\x01\xba"
"""The first bytes of a pack of an MPEG program stream."""
FRAMES_IN_A_ROW = 3
FRAMES_HEAD: Final = 16 << 10
"""Bytes that contain FRAMES_IN_A_ROW frames of any kind."""


def headers_in(window: bytes) -> Iterator[re.Match[bytes]]:
    """Every header and every page of Ogg in these bytes, in order. Fast: a regular expression alone reads 4 MB/s."""
    # Of any three bytes two begin at an even offset: a check of every second byte is enough.
    for start in range(0, len(window) - 1, _AT_ONCE):
        pairs = np.frombuffer(window, "<u2", min(_AT_ONCE, len(window) - start) // 2, start)
        for pair in np.flatnonzero(_PAIRS[pairs]).tolist():
            for begin in (start + 2 * pair - 1, start + 2 * pair):
                if window[max(begin, 0) : begin + 3] not in _FIRST_LETTERS:
                    continue
                found = _HEADER.match(window, begin) or (_HEADER.match(window, begin - 4) if begin >= 4 else None)
                if found is not None:
                    yield found


def kind_of(found: re.Match[bytes]) -> ContainerKind:
    """The format of a match of one of the two patterns."""
    name = next(name for name, text in found.groupdict().items() if text is not None)
    return _KINDS.get(name, name)  # type: ignore[arg-type]  # the groups are named after the kinds


def kind_at(head: bytes) -> ContainerKind | None:
    """The format that begins with these bytes (LONGEST_MARK of them, or all there are); None: none for certain."""
    found = _HEADER.match(head)
    return None if found is None else kind_of(found)


def frames_at(head: bytes) -> ContainerKind | None:
    """As `kind_at`, for streams whose frames have so short a sync word that several must follow each other."""
    for size, first in TS_PACKETS:
        if len(head) > 3 * size + first and all(head[first + at * size] == TS_SYNC for at in range(4)):
            return "mpegts"
    if head.startswith(PROGRAM_STREAM) and head[4:5] and (head[4] >> 6 == 1 or head[4] >> 4 == 2):
        return "other"
    if adts_frames(head) >= FRAMES_IN_A_ROW:
        return "adts"
    return "raw" if _mp3_frames(head) >= FRAMES_IN_A_ROW or head.startswith(AC3_SYNC) else None


def adts_frames(head: bytes) -> int:
    """How many ADTS headers follow each other from the first byte on."""
    at = count = 0
    while at + 7 <= len(head) and head[at] == 0xFF and head[at + 1] & 0xF6 == 0xF0:
        length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
        if length < 7 or head[at + 2] >> 2 & 15 > 12:
            break
        count, at = count + 1, at + length
    return count


def _mp3_frames(head: bytes) -> int:
    """How many headers of MPEG audio follow each other from the first byte on."""
    at = count = 0
    while length := mpeg_frame_bytes(head[at : at + 4]):
        count, at = count + 1, at + length
    return count


_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def mpeg_frame_bytes(header: bytes) -> int:
    """The length in bytes of an MPEG audio frame (layer 1, 2 or 3), from its four header bytes; 0: not a header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_at, kbits_at = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer == 4 or rate_at == 3 or not 0 < kbits_at < 15:
        return 0
    rate = _RATES[rate_at] >> {3: 0, 2: 1, 0: 2}[version]
    bits = _KBITS[1 if version == 3 else 2, layer][kbits_at - 1] * 1000
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (144 if layer == 2 or version == 3 else 72) * bits // rate + padding


def counted_seconds(head: bytes) -> float | None:
    """The duration in seconds that an MP3 claims: its first frame may carry a frame count (Xing, Info, VBRI) and no
    sound."""
    if not (size := mpeg_frame_bytes(head[:4])):
        return None
    version = head[1] >> 3 & 3
    rate = _RATES[head[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    for name, flags_at, count_at in ((b"Xing", 7, 8), (b"Info", 7, 8), (b"VBRI", None, 14)):
        at = head.find(name, 4, min(size, 64))
        if at > 0:
            if flags_at is not None and not (head[at + flags_at] & 1 if len(head) > at + flags_at else 0):
                return None
            frames = int.from_bytes(head[at + count_at : at + count_at + 4], "big")
            return frames * (1152 if version == 3 else 576) / rate if frames else None
    return None


def first_frames(window: bytes) -> int | None:
    """The offset of the first of several consecutive frames of AAC or MPEG audio that have no header before them."""
    at = window.find(b"\xff")
    while at >= 0:
        if adts_frames(window[at : at + FRAMES_HEAD]) >= FRAMES_IN_A_ROW or (
            _mp3_frames(window[at : at + FRAMES_HEAD]) >= FRAMES_IN_A_ROW
        ):
            return at
        at = window.find(b"\xff", at + 1)
    return None


def tag_bytes(head: bytes, left: int) -> int:
    """The length of the tag that begins here (ID3v1, ID3v2, APEv2, Lyrics3), of `left` bytes; 0: no tag."""
    if head.startswith(b"TAG") and left <= 128 + 4096:
        return min(128, left)
    if re.match(rb"ID3[\x02-\x04].[\x00-\xff][\x00-\x7f]{4}", head, re.DOTALL):
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return min(10 + size + (10 if head[5] & 0x10 else 0), left)
    if head.startswith(b"APETAGEX") and len(head) >= 32:
        size = int.from_bytes(head[12:16], "little") + (32 if head[23] & 0x80 else 0)
        return min(max(size, 32), left)
    if head.startswith(b"LYRICSBEGIN"):
        return left
    return 0
