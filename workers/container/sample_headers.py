"""The headers of containers of plain samples: where the samples begin, and how many the header claims.

Runs in: worker. WAV (with RF64 and BW64), Wave64, AIFF, CAF and AU.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workers.container.header_marks import ContainerKind
from workers.recording.recording_file import Recording

NO_SIZE = 0xFFFFFFFF
LEAST_UNKNOWN = 0x7FF00000
"""Programs that write to a pipe put sizes from here on into the header. In a shorter file they claim nothing."""
LONGEST_HEADER_BYTES = 16 << 20
CONSTANT_RATES = frozenset({1, 3, 6, 7, 0xFFFE})
"""WAV's codecs with a constant number of bytes a second: PCM, floats, A-law, mu-law, and PCM with a channel mask."""
HIGHEST_RATE = 6_000_000
AIFF_PCM = frozenset({b"", b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64"})
AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 27: 8}
AIFF_MOST_BYTES = NO_SIZE - 15


@dataclass(frozen=True, slots=True)
class Samples:
    """The position and size of the samples, from the header."""

    kind: ContainerKind
    begin: int
    """Offset of the first sample in the recording."""
    claimed_bytes: int | None
    """None: the header leaves it open."""
    bytes_a_second: float
    block_bytes: int
    """One sample of every channel."""
    header: Callable[[int], bytes]
    """Number of sample bytes → the rewritten header."""
    chunk_end: Callable[[bytes, int], int] | None
    """(The first 24 bytes of a chunk, its offset) → its end; None: no chunks follow."""
    most_bytes: int | None = None
    """The largest size that FFmpeg accepts; None: no limit."""
    is_exact: bool = True
    """`bytes_a_second` is exact, not an average."""


def samples_at(file: Recording, start: int, kind: ContainerKind) -> Samples | None:
    """The samples of the header at this offset; None: it has none, or its codec needs more than the samples."""
    try:
        match kind:
            case "wav":
                return _wav(file, start)
            case "w64":
                return _w64(file, start)
            case "aiff":
                return _aiff(file, start)
            case "caf":
                return _caf(file, start)
            case "au":
                return _au(file, start)
            case _:
                return None
    except struct.error:
        return None  # it ends before its first sample


def riff_chunk_end(head: bytes, at: int) -> int:
    """The byte after a RIFF chunk and its padding."""
    size = int.from_bytes(head[4:8], "little")
    return at + 8 + size + size % 2


def aiff_chunk_end(head: bytes, at: int) -> int:
    """The byte after an IFF chunk and its padding."""
    size = int.from_bytes(head[4:8], "big")
    return at + 8 + size + size % 2


def w64_chunk_end(head: bytes, at: int) -> int:
    """The byte after a Wave64 chunk and its padding."""
    return at + max(int.from_bytes(head[16:24], "little") + 7 & ~7, 24)


def caf_chunk_end(head: bytes, at: int) -> int:
    """The byte after a chunk of a Core Audio file."""
    return at + 12 + max(int.from_bytes(head[4:12], "big", signed=True), 0)


@dataclass(frozen=True, slots=True)
class _Chunks:
    """The chunks of a header: the first 64 bytes of each."""

    before: Mapping[bytes, bytes]
    """By name, the chunks before the sound."""
    at: int
    """Offset of the chunk with the sound."""
    sound: bytes


def _chunks(
    file: Recording, start: int, at: int, name: bytes, chunk_end: Callable[[bytes, int], int]
) -> _Chunks | None:
    """The chunks of a header up to the one of this name, which contains the sound; None: there is no such chunk."""
    before: dict[bytes, bytes] = {}
    while at < file.size and at - start < LONGEST_HEADER_BYTES:
        head = file.read_at(at, 64)
        if head.startswith(name):
            return _Chunks(before, at, head)
        before.setdefault(head[:4], head)
        at = chunk_end(head, at)
    return None


def _wav(file: Recording, start: int) -> Samples | None:
    chunks = _chunks(file, start, start + 12, b"data", riff_chunk_end)
    if chunks is None or b"fmt " not in chunks.before:
        return None
    codec, _, _, rate, block = struct.unpack("<HHIIH", chunks.before[b"fmt "][8:22])
    (size,) = struct.unpack("<I", chunks.sound[4:8])
    big_size = None
    if b"ds64" in chunks.before:
        (big_size,) = struct.unpack("<Q", chunks.before[b"ds64"][16:24])
    if not rate:
        return None
    begin = chunks.at + 8
    claimed: int | None = size if big_size is None or size not in (0, NO_SIZE) else big_size
    if not claimed or claimed == NO_SIZE or claimed >= 1 << 62 or _is_unknown(file, begin, claimed, big_size is None):
        claimed = None
    before = bytearray(file.read_at(start, begin - start))
    before[:4], before[-4:] = b"RIFF", NO_SIZE.to_bytes(4, "little")
    return Samples(
        kind="wav",
        begin=begin,
        claimed_bytes=claimed,
        bytes_a_second=float(rate),
        block_bytes=max(block, 1),
        header=lambda size: bytes(before),
        chunk_end=riff_chunk_end,
        is_exact=codec in CONSTANT_RATES,
    )


def _w64(file: Recording, start: int) -> Samples | None:
    chunks = _chunks(file, start, start + 40, b"data", w64_chunk_end)
    if chunks is None or b"fmt " not in chunks.before:
        return None
    codec, _, _, rate, block = struct.unpack("<HHIIH", chunks.before[b"fmt "][24:38])
    (size,) = struct.unpack("<Q", chunks.sound[16:24])
    if not rate:
        return None
    begin = chunks.at + 24
    before = file.read_at(start, begin - start)
    return Samples(
        kind="w64",
        begin=begin,
        claimed_bytes=size - 24 if 24 < size < 1 << 62 else None,
        bytes_a_second=float(rate),
        block_bytes=max(block, 1),
        header=lambda size: before[:-8] + (size + 24).to_bytes(8, "little"),
        chunk_end=w64_chunk_end,
        is_exact=codec in CONSTANT_RATES,
    )


def _aiff(file: Recording, start: int) -> Samples | None:
    chunks = _chunks(file, start, start + 12, b"SSND", aiff_chunk_end)
    if chunks is None or b"COMM" not in chunks.before:
        return None
    form = chunks.before[b"COMM"]
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", form[8:26])
    # An 80-bit extended float.
    exponent &= 0x7FFF
    rate = mantissa * 2.0 ** (exponent - 16446) if 16383 <= exponent < 16447 else 0.0
    block = channels * -(-bits // 8)
    (size,) = struct.unpack(">I", chunks.sound[4:8])
    is_plain = file.read_at(start + 8, 4) == b"AIFF" or form[26:30] in AIFF_PCM
    if not rate or not block or not is_plain:
        return None
    begin = chunks.at + 16
    before = file.read_at(start, begin - start)
    unknown = size <= 8 or _is_unknown(file, begin, size, True)
    return Samples(
        kind="aiff",
        begin=begin,
        claimed_bytes=None if unknown else size - 8,
        bytes_a_second=rate * block,
        block_bytes=block,
        header=lambda size: _aiff_header(before, size),
        chunk_end=aiff_chunk_end,
        most_bytes=AIFF_MOST_BYTES // block * block,
    )


def _aiff_header(before: bytes, size: int) -> bytes:
    """Both sizes are corrected: FFmpeg searches for more chunks as far as the outer size claims."""
    outer = min(len(before) - 8 + size, NO_SIZE - 1).to_bytes(4, "big")
    return before[:4] + outer + before[8:-12] + min(size + 8, NO_SIZE - 1).to_bytes(4, "big") + bytes(8)


def _caf(file: Recording, start: int) -> Samples | None:
    chunks = _chunks(file, start, start + 8, b"data", caf_chunk_end)
    if chunks is None or b"desc" not in chunks.before:
        return None
    rate, block, frames = struct.unpack(">d8xII", chunks.before[b"desc"][12:36])
    (size,) = struct.unpack(">q", chunks.sound[4:12])
    if not block or not frames or not 0 < rate < HIGHEST_RATE:
        return None  # packets of variable length need their packet table
    begin = chunks.at + 16
    before = file.read_at(start, begin - start)
    return Samples(
        kind="caf",
        begin=begin,
        claimed_bytes=size - 4 if size > 4 else None,
        bytes_a_second=rate * block / frames,
        block_bytes=block,
        header=lambda size: before[:-12] + (-1).to_bytes(8, "big", signed=True) + bytes(4),
        chunk_end=caf_chunk_end,
    )


def _au(file: Recording, start: int) -> Samples | None:
    offset, size, codec, rate, channels = struct.unpack(">4xIIIII", file.read_at(start, 24))
    block = AU_BITS.get(codec, 0) // 8 * channels
    begin = start + offset
    if not rate * block or begin > file.size or offset > LONGEST_HEADER_BYTES:
        return None
    before = file.read_at(start, offset)
    unknown = size == 0 or _is_unknown(file, begin, size, True)
    return Samples(
        kind="au",
        begin=begin,
        claimed_bytes=None if unknown else size,
        bytes_a_second=float(rate * block),
        block_bytes=block,
        header=lambda size: before[:8] + NO_SIZE.to_bytes(4, "big") + before[12:],
        chunk_end=None,
    )


def _is_unknown(file: Recording, begin: int, claimed: int, is_narrow: bool) -> bool:
    """Whether a size is one of those that programs write for an unknown size."""
    return is_narrow and claimed >= LEAST_UNKNOWN and begin + claimed > file.size
