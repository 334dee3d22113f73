"""Headers of recordings are found wherever they stand."""

import random

import pytest

from workers.container.header_marks import _AT_ONCE, headers_in, kind_of

HEADERS = {
    "wav": b"RIFF1234WAVEfmt ",
    "avi": b"RIFF1234AVI LIST",
    "aiff": b"FORM1234AIFFCOMM",
    "caf": b"caff\0\1\0\0desc",
    "flac": b"fLaC\0\0\0\x22",
    "mp4": b"\0\0\0\x20ftypM4A ",
    "matroska": b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm",
    "ogg": b"OggS\0\x0212345678",
    "mpegts": b"G@\0\x10\0\0\xb0\x0d12\xc1\0\0",
    "raw": b"ID3\3\0\0\0\0\1\1",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_found_at_every_byte(kind: str) -> None:
    """At even and odd ones, first and last, and over the edge of what is looked at together."""
    header, noise = HEADERS[kind], random.Random(kind).randbytes(_AT_ONCE + 100)
    for at in (0, 1, 2, 51, *range(_AT_ONCE - len(header) - 1, _AT_ONCE + 2), len(noise) - len(header)):
        window = noise[:at] + header + noise[at + len(header) :]
        found = [(one.start(), kind_of(one)) for one in headers_in(window)]
        assert found == [(at, kind)], at


def test_bytes_without_a_header_have_none() -> None:
    for size in range(50):
        assert not list(headers_in(random.Random(size).randbytes(size)))
