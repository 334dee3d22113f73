"""The stream tables that a broadcast (MPEG-TS) repeats: where they change, another recording begins.

Runs in: worker. Pure.
"""

PACKET_BYTES = 188
STRIDES = (188, 192, 204)
"""Bytes from one packet to the next: plain, with a timestamp before each (M2TS), with parity after it."""
LOOK_PACKETS = 24
LOOK_BYTES = LOOK_PACKETS * STRIDES[-1]
"""The list of streams follows the list of programs within this distance; otherwise there is none to compare."""
SYNC = 0x47
PROGRAM_LIST, STREAM_LIST = 0x00, 0x02

Streams = frozenset[tuple[int, int]]
"""Kind of stream and its number, for each."""


def streams_of(content: bytes) -> Streams | None:
    """The streams of the first program, from bytes that begin with the packet of a list of programs; None: not in
    these bytes."""
    stride = next((each for each in STRIDES if content[each : each + 1] == b"G"), None)
    programs = _section(content, PROGRAM_LIST)
    if stride is None or programs is None:
        return None
    table = next(
        (
            int.from_bytes(programs[at + 2 : at + 4], "big") & 0x1FFF
            for at in range(8, len(programs) - 7, 4)
            if programs[at : at + 2] != b"\0\0"
        ),
        None,
    )
    for first in range(stride, len(content) - PACKET_BYTES + 1, stride):
        packet = content[first : first + PACKET_BYTES]
        if packet[0] == SYNC and int.from_bytes(packet[1:3], "big") & 0x5FFF == 0x4000 | (table or 0):
            streams = _section(packet, STREAM_LIST)
            return None if streams is None else _streams(streams)
    return None


def _section(packet: bytes, kind: int) -> bytes | None:
    """The table that begins in a packet, with its checksum; None: no table of this kind, or not the whole of it."""
    begin = 4
    if packet[3] & 0x20:
        begin += 1 + packet[4]
    begin += 1 + packet[begin] if begin < PACKET_BYTES else 0
    if begin + 3 > PACKET_BYTES or packet[begin] != kind:
        return None
    end = begin + 3 + (int.from_bytes(packet[begin + 1 : begin + 3], "big") & 0xFFF)
    return packet[begin:end] if end <= PACKET_BYTES else None


def _streams(section: bytes) -> Streams:
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    found = set()
    while at + 5 <= len(section) - 4:
        found.add((section[at], int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF))
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return frozenset(found)
