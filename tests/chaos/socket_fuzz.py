"""Row 16: everything that is no request, and clients that never finish one.

Runs in: the chaos run.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import psutil

from chaos.broken_daemon import broken_daemon, pids_of
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Malformed requests"
DEMAND = (
    "20,000 malformed requests and 200 slow clients: no crash, below 20 MB more, a good client's p99 below 100 ms"
)
REQUESTS, SLOW_CLIENTS = 20_000, 200
GROWTH_BYTES, GOOD_P99_SECONDS = 20_000_000, 0.1
PATIENCE_SECONDS = 2.0

Garbage = Callable[[random.Random], bytes]


def run(trial: Trial) -> Tally:
    """A good client asks for the status all the while."""
    tally = Tally(trials=trial.number(REQUESTS))
    luck = trial.luck()
    with broken_daemon(trial.folder / "home") as daemon:
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        before, pid = pids_of(daemon), daemon.pid
        _throw(daemon.socket, luck.choice(list(KINDS.values()))(luck))
        memory = psutil.Process(pid).memory_info().rss
        good = GoodClient(daemon.socket)
        good.start()
        slow = [_slow_client(daemon.socket) for _ in range(trial.number(SLOW_CLIENTS))]
        for _ in range(tally.trials):
            kind = luck.choice(list(KINDS))
            answer = _throw(daemon.socket, KINDS[kind](luck))
            tally.expect(b" 500 " not in answer[:40], f"{kind}: {answer[:200]!r}")
            tally.faults += 1
        for client in slow:
            client.close()
        good.over.set()
        good.join()
        growth = psutil.Process(pid).memory_info().rss - memory
        tally.expect(daemon.process is not None and daemon.process.poll() is None, "the daemon is gone")
        tally.expect(pids_of(daemon) == before, "a request cost a worker")
        tally.expect(not daemon.jobs(), "a malformed request became a job")
    p99 = quantiles(good.seconds, n=100)[-1]
    tally.figures = {"good client, p99": f"{p99 * 1000:.1f} ms", "supervisor grew by": f"{growth / 1e6:.1f} MB"}
    tally.expect(p99 < GOOD_P99_SECONDS, f"the good client waited {p99 * 1000:.0f} ms (p99)")
    tally.expect(growth < GROWTH_BYTES, f"the supervisor grew by {growth / 1e6:.1f} MB")
    return tally


class GoodClient(threading.Thread):
    """Asks, ten times a second, and notes how long it waits."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="good client", daemon=True)
        self.seconds: list[float] = []
        self.over = threading.Event()
        self._path = path

    def run(self) -> None:
        while not self.over.wait(0.1):
            began = time.monotonic()
            _throw(self._path, b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            self.seconds.append(time.monotonic() - began)


def _throw(path: Path, request: bytes) -> bytes:
    """What comes back before the daemon closes or we lose patience."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65_536):
                answer += piece
        except OSError:
            pass  # A daemon that hangs up on garbage is right.
    return answer


def _slow_client(path: Path) -> socket.socket:
    """The first line of a request, and never the rest."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(b"POST /v1/jobs HTTP/1.1\r\ncontent-le")
    return client


def _posted(body: bytes, length: int | None = None) -> bytes:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"content-length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


def _of_job(job: str) -> bytes:
    return f"GET /v1/jobs/{job} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()


ODD_JOBS = ("-1", "1e9", "9" * 400, "%00", "..%2f..", "0x1")
OTHER_PROTOCOLS = (b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n")
SMUGGLED = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\nzz\r\n"


def _wrong_values(luck: random.Random) -> bytes:
    odd: list[object] = [None, 7, -1, [], {}, "", "relative", "/\0", "/x/\ud800", 1e400, True, "a" * 5000]
    wanted = {"path": luck.choice(odd), "options": luck.choice([*odd, {"language": luck.choice(odd)}])}
    return _posted(json.dumps(wanted).encode("utf-8", "surrogatepass"))


KINDS: dict[str, Garbage] = {
    "random bytes": lambda luck: luck.randbytes(luck.randint(1, 5_000)),
    "cut JSON": lambda luck: _posted(b'{"path": "/x/a.wav", "options": {"language'[: luck.randint(0, 40)]),
    "deep nesting": lambda luck: _posted(b"[" * luck.choice((10, 1_000, 100_000))),
    "a line without end": lambda luck: b"GET /" + b"a" * luck.choice((10_000, 1_000_000)) + b" HTTP/1.1\r\n\r\n",
    "a header without end": lambda luck: b"GET / HTTP/1.1\r\nx: " + b"a" * luck.choice((10_000, 1_000_000)),
    "bad UTF-8": lambda luck: _posted(b'{"path": "/x/' + luck.randbytes(20) + b'"}'),
    "NUL": lambda luck: b"GET /v1/jobs/\0 HTTP/1.1\r\n\r\n",
    "wrong length": lambda luck: _posted(b"{}", luck.choice((-1, 0, 1, 10**12))),
    "wrong values": _wrong_values,
    "odd target": lambda luck: _of_job(luck.choice(ODD_JOBS)),
    "another protocol": lambda luck: luck.choice(OTHER_PROTOCOLS),
    "smuggling": lambda luck: SMUGGLED,
}
