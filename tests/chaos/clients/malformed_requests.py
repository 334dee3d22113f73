"""Everything that is no request, thrown at a socket: what is said, and how the line is left.

Runs in: a process of its own, so that the chaos run's good client has its own time.
"""

import json
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 10.0
"""A daemon that neither answers nor hangs up for so long is stuck."""
FLOOD_BYTES, FLOOD_PIECE_BYTES = 100_000_000, 1_000_000
ENDINGS = ("half-close", "half-close", "half-close", "vanish", "reset")

Garbage = Callable[[random.Random], bytes]


def throw_many(path: Path, seed: str, count: int) -> list[str]:
    """What was wrong with the answers."""
    luck = random.Random(seed)
    complaints = []
    for _ in range(count):
        kind = luck.choice(list(KINDS))
        complaint = throw(path, KINDS[kind](luck), luck.choice(ENDINGS))
        if complaint is not None:
            complaints.append(f"{kind}: {complaint}")
    return complaints


def throw(path: Path, request: bytes, ending: str) -> str | None:
    """What was wrong with the answer; None: nothing, a hang-up included."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(request)
            if ending == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if ending != "half-close":
                return None
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65_536):
                answer += piece
        except TimeoutError:
            return f"neither answered nor hung up: {request[:80]!r}"
        except OSError:
            pass  # A daemon that hangs up on garbage is right.
    refused = not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 503 "))
    return None if refused else f"{request[:80]!r} was answered {answer[:80]!r}"


def flood(path: Path, head: bytes) -> str | None:
    """A hundred megabytes without an end; the daemon must not read on for ever."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(str(path))
        try:
            client.sendall(head)
            for _ in range(FLOOD_BYTES // FLOOD_PIECE_BYTES):
                client.sendall(b"a" * FLOOD_PIECE_BYTES)
        except TimeoutError:
            return "the daemon neither read nor refused what it was flooded with"
        except OSError:
            pass
    return None


FLOODS = (
    b"GET /",
    b"GET / HTTP/1.1\r\nx: ",
    b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
)


def _posted(body: bytes, length: object = None, head: str = "") -> bytes:
    lines = (
        "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"content-length: {len(body) if length is None else length}\r\n{head}\r\n"
    )
    return lines.encode() + body


def _of_job(job: str) -> bytes:
    return f"GET /v1/jobs/{job} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()


ODD_JOBS = ("-1", "1e9", "9" * 400, "%00", "..%2f..", "0x1", "1%20", "NaN", "%ff%fe")
OTHER_PROTOCOLS = (
    b"\x16\x03\x01\x02\x00\x01",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"*1\r\n$4\r\nPING\r\n",
)
ODD_LENGTHS = (-1, 0, 1, 10**12, "1e3", "0x2", "2, 3", "+2", "9" * 5000)
JOB = b'{"path": "/x/a.wav", "options": {"language": "en"}}'


def _smuggled(luck: random.Random) -> bytes:
    """Two lengths, or none that is meant: what one reader takes for a body, another takes for a request."""
    chunked = luck.choice(("chunked", "identity", "gzip", "chunked, chunked", "\x0bchunked", "xchunked"))
    inner = b"0\r\n\r\nGET /v1/queue/pause HTTP/1.1\r\nhost: x\r\n\r\n"
    return luck.choice(
        (
            _posted(inner, head=f"transfer-encoding: {chunked}\r\n"),
            _posted(inner, head="content-length: 5\r\n"),
            _posted(b"zz\r\n" + inner, head="transfer-encoding: chunked\r\n"),
            b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"POST /v1/jobs HTTP/1.1\nhost: x\ncontent-length : 2\n\n{}",
            b"GET /v1/status HTTP/1.1\r\nhost: x\r\n host: y\r\n\r\n",
            b"GET /v1/status HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        )
    )


def _wrong_values(luck: random.Random) -> bytes:
    odd: list[object] = [None, 7, -1, [], {}, "", "relative", "/\0", "/x/\ud800", 1e400, True, "a" * 5000]
    wanted = {"path": luck.choice(odd), "options": luck.choice([*odd, {"language": luck.choice(odd)}])}
    return _posted(json.dumps(wanted).encode())


KINDS: dict[str, Garbage] = {
    "random bytes": lambda luck: luck.randbytes(luck.randint(1, 5_000)),
    "cut JSON": lambda luck: _posted(JOB[: luck.randrange(len(JOB))]),
    "scratched JSON": lambda luck: _posted(JOB.replace(bytes([luck.choice(b'{}":,')]), luck.randbytes(1), 1)),
    "deep nesting": lambda luck: _posted(luck.choice((b"[", b'{"a":')) * luck.choice((10, 1_000, 10_000, 100_000))),
    "a line without end": lambda luck: b"GET /" + b"a" * luck.choice((10_000, 1_000_000)) + b" HTTP/1.1\r\n\r\n",
    "a header without end": lambda luck: b"GET / HTTP/1.1\r\nx: " + b"a" * luck.choice((10_000, 1_000_000)),
    "too many headers": lambda luck: b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * luck.choice((1_000, 50_000)) + b"\r\n",
    "bad UTF-8": lambda luck: _posted(b'{"path": "/x/\xff' + luck.randbytes(20) + b'"}'),
    "NUL": lambda luck: luck.choice((b"GET /v1/jobs/\0 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nx: \0\r\n\r\n")),
    "wrong length": lambda luck: _posted(b"{}", luck.choice(ODD_LENGTHS)),
    "wrong values": _wrong_values,
    "odd target": lambda luck: _of_job(luck.choice(ODD_JOBS)),
    "another protocol": lambda luck: luck.choice(OTHER_PROTOCOLS),
    "smuggling": _smuggled,
    "cut anywhere": lambda luck: _posted(JOB)[: luck.randrange(len(_posted(b"")))],
}
