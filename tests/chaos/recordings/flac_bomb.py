"""Hours of silence in a small FLAC file, written faster than any encoder would, and saying whatever length it likes.

Runs in: the chaos run. The format is RFC 9639; every block of samples is one constant subframe of 13 to 15 bytes.
"""

import struct

RATE = 8_000
BLOCK = 65_535
"""The largest block that FLAC knows: eight seconds."""


def silent_flac(hours: float, claimed_seconds: float | None = None) -> bytes:
    """`claimed_seconds` is the length in the header; None: the truth."""
    blocks = max(1, round(hours * 3600 * RATE / BLOCK))
    claimed = blocks * BLOCK if claimed_seconds is None else round(claimed_seconds * RATE)
    # Sample rate (20 bits), channels - 1 (3), bits - 1 (5), samples (36); no checksum of the sound.
    facts = (RATE << 44 | 15 << 36 | claimed).to_bytes(8, "big")
    info = struct.pack(">HH", BLOCK, BLOCK) + b"\0\0\x0d\0\0\x0f" + facts + bytes(16)
    head = b"fLaC" + struct.pack(">I", 0x80 << 24 | len(info)) + info
    return head + b"".join(map(_frame, range(blocks)))


def _frame(number: int) -> bytes:
    # Sync and fixed blocks; block size in 16 bits below, rate as in the header; mono, 16 bits.
    head = b"\xff\xf8\x70\x08" + _coded(number) + struct.pack(">H", BLOCK - 1)
    head += bytes([_crc(head, CRC_8, 8)])
    # A constant subframe of the sample 0.
    frame = head + b"\0\0\0"
    return frame + struct.pack(">H", _crc(frame, CRC_16, 16))


def _coded(number: int) -> bytes:
    """As UTF-8 codes a character, surrogates included."""
    return chr(number).encode("utf-8", "surrogatepass")


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        rest = byte << (bits - 8)
        for _ in range(8):
            rest = (rest << 1 ^ (polynomial if rest >> (bits - 1) else 0)) & ((1 << bits) - 1)
        table.append(rest)
    return table


CRC_8, CRC_16 = _table(0x07, 8), _table(0x8005, 16)


def _crc(content: bytes, table: list[int], bits: int) -> int:
    rest = 0
    for byte in content:
        rest = (rest << 8 & ((1 << bits) - 1)) ^ table[rest >> (bits - 8) ^ byte]
    return rest
