"""Row 8 of RESULTS.md: how quickly a daemon answers while 10,000 jobs wait and both workers keep a core busy.

Runs in: the benchmark. `PYTHONPATH=tests:tests/support python -m benchmarks.daemon.crowded_queue`
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil
from daemon_under_test import TALK, DaemonUnderTest
from eventually import eventually

JOBS = 10_000
STATUS_ASKED = 1_000
IDLE_SECONDS = 30.0
"""The processor time of a process is told in hundredths of a second: 0.03 % of this."""
SUBMIT_BYTES = 20_480
"""Five pages of the database."""
BUSY_JOBS = 40
"""Recordings in front of the crowd, for both workers to be busy with until all is measured."""
BUSY = {
    "WHISPER_BACKEND": "benchmarks.daemon.burning_engines:BurningTranscriber",
    "ALIGNMENT_BACKEND": "benchmarks.daemon.burning_engines:BurningAligner",
    "STENO_WORKERS_FALLBACK": "false",
    "STENO_MODEL": "pace=0.25",
    "STENO_ALIGNMENT_MODEL": "pace=0.25",
    "FAKE_CHUNK_SECONDS": "1",
    # As a user has it, not as quick as tests want it.
    "STENO_WATCHING_SETTLE_SECONDS": "5",
    "STENO_WATCHING_SCAN_SECONDS": "30",
    "STENO_WATCHING_POLLING_SECONDS": "10",
}


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of one kind of request, as its client saw them."""

    p50_ms: float
    p99_ms: float
    worst_ms: float
    cpu_ms: float
    """What one cost the supervisor's processor."""

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, worst {self.worst_ms:.1f} ms, "
            f"{self.cpu_ms:.2f} ms of a core each"
        )


@dataclass(frozen=True, slots=True)
class CrowdedQueue:
    """What was measured: the medians of several runs."""

    disk: Latencies
    """What a submit cannot do without: as many bytes appended to a file and synced, by us."""
    submit: Latencies
    submit_each_on_its_own: Latencies
    """With a new connection for every request."""
    status: Latencies
    start_seconds: float
    """From exec to the first answer on the socket, with all the jobs in the database."""
    idle_share: float
    """Of a core, over `IDLE_SECONDS`, with all the jobs waiting in a paused queue and both workers ready."""


class RawClient:
    """HTTP by hand: what is measured is the daemon, not a client library."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def ask(self, method: str, target: str, body: object = None) -> bytes:
        """The answer's body; AssertionError unless it is a success."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nhost: steno\r\ncontent-type: application/json\r\n"
        self._socket.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        answer, _, rest = received.partition(b"\r\n\r\n")
        fields = answer.lower().split(b"\r\n")
        assert fields[0].split()[1].startswith(b"2"), answer
        length = int(next(field for field in fields if field.startswith(b"content-length:")).split(b":")[1])
        while len(rest) < length:
            rest += self._receive()
        return rest

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        received = self._socket.recv(65_536)
        assert received, "the daemon hung up"
        return received


def measure(home: Path, runs: int = 5) -> CrowdedQueue:
    """The medians of `runs` runs, each with a fresh daemon in a folder under `home`, whose path must be short."""
    found = []
    for run in range(runs):
        place = home / str(run)
        found.append(_measured_once(place))
        shutil.rmtree(place)
    return CrowdedQueue(
        disk=_middle([one.disk for one in found]),
        submit=_middle([one.submit for one in found]),
        submit_each_on_its_own=_middle([one.submit_each_on_its_own for one in found]),
        status=_middle([one.status for one in found]),
        start_seconds=median(one.start_seconds for one in found),
        idle_share=median(one.idle_share for one in found),
    )


def _measured_once(home: Path) -> CrowdedQueue:
    recordings = home / "recordings"
    recordings.mkdir(parents=True)
    crowd = [recordings / f"{number:05}.wav" for number in range(JOBS)]
    for number, recording in enumerate(crowd):
        recording.write_bytes(b"RIFF%d" % number)
    daemon = DaemonUnderTest(home, BUSY)
    with _running(daemon):
        for number in range(BUSY_JOBS):
            daemon.submit(Path(shutil.copy(TALK, recordings / f"talk{number}.flac")))
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "busy")
        kept = RawClient(daemon.socket)
        submit = _latencies(daemon, JOBS, lambda number: kept.ask("POST", "/v1/jobs", {"path": str(crowd[number])}))
        status = _latencies(daemon, STATUS_ASKED, lambda number: kept.ask("GET", "/v1/status"))
        kept.close()
        disk = _of_disk(daemon, home / "synced")
        alone = _latencies(daemon, STATUS_ASKED, lambda number: _submit_alone(daemon, crowd[number]))
        daemon.post("/v1/queue/pause")
    started: list[float] = []
    with _running(daemon, started):
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        idle_share = _idle_share(daemon)
    return CrowdedQueue(disk, submit, alone, status, started[0], idle_share)


@contextmanager
def _running(daemon: DaemonUnderTest, started: list[float] | None = None) -> Iterator[None]:
    began = time.perf_counter()
    daemon.start()
    if started is not None:
        started.append(time.perf_counter() - began)
    try:
        yield
    finally:
        daemon.stop()


def _submit_alone(daemon: DaemonUnderTest, recording: Path) -> None:
    client = RawClient(daemon.socket)
    client.ask("POST", "/v1/jobs", {"path": str(recording)})
    client.close()


def _of_disk(daemon: DaemonUnderTest, file: Path) -> Latencies:
    with file.open("wb", buffering=0) as written:

        def append(number: int) -> None:
            written.write(bytes(SUBMIT_BYTES))
            getattr(os, "fdatasync", os.fsync)(written.fileno())

        return _latencies(daemon, STATUS_ASKED, append)


def _latencies(daemon: DaemonUnderTest, count: int, ask: Callable[[int], object]) -> Latencies:
    took_ms = []
    before = _cpu_seconds(daemon)
    for number in range(count):
        began = time.perf_counter()
        ask(number)
        took_ms.append((time.perf_counter() - began) * 1e3)
    cpu_ms = (_cpu_seconds(daemon) - before) * 1e3 / count
    return Latencies(median(took_ms), quantiles(took_ms, n=100)[-1], max(took_ms), cpu_ms)


def _idle_share(daemon: DaemonUnderTest) -> float:
    # What follows a start, the first look at the folder and the workers' arrival among it, is not idleness.
    eventually(lambda: psutil.Process(daemon.pid).cpu_percent(1.0) < 1.0, 30, "the daemon comes to rest")
    before = _cpu_seconds(daemon)
    time.sleep(IDLE_SECONDS)
    return (_cpu_seconds(daemon) - before) / IDLE_SECONDS


def _cpu_seconds(daemon: DaemonUnderTest) -> float:
    times = psutil.Process(daemon.pid).cpu_times()
    return float(times.user + times.system)


def _middle(of: Sequence[Latencies]) -> Latencies:
    return Latencies(
        median(one.p50_ms for one in of),
        median(one.p99_ms for one in of),
        median(one.worst_ms for one in of),
        median(one.cpu_ms for one in of),
    )


def main() -> None:
    """Prints what a few runs gave."""
    home = Path(tempfile.mkdtemp(prefix="steno-crowd-", dir="/tmp"))
    try:
        found = measure(home, runs=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    finally:
        shutil.rmtree(home)
    print(f"{JOBS} jobs wait, both workers burn a core")
    print(f"the disk alone            {found.disk}")
    print(f"submit, kept connection   {found.submit}")
    print(f"submit, new connections   {found.submit_each_on_its_own}")
    print(f"status                    {found.status}")
    print(f"start-up                  {found.start_seconds:.2f} s")
    print(f"idle                      {found.idle_share:.2%} of a core")


if __name__ == "__main__":
    main()
