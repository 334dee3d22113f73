"""A real daemon with stub engines, whose faults are armed by touching files.

Runs in: the chaos run.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon_under_test import DaemonUnderTest
from eventually import eventually
from no_leftovers import lives

from chaos.daemon.oracle import CHUNK_SECONDS
from ipc.failpoints import ARMED_BY, FAULTS, POINTS_OF

STUBS = {
    "WHISPER_BACKEND": "chaos.daemon.stub_engines:StubTranscriber",
    "ALIGNMENT_BACKEND": "chaos.daemon.stub_engines:StubAligner",
    "STENO_WORKERS_FALLBACK": "false",
}
PATIENT = {
    # Hundreds of deaths an hour are the point here; how a worker that always dies is rested has rows of its own.
    "STENO_RESTARTS_DEATHS_ALLOWED": "100000",
    "STENO_RESTARTS_FIRST_DELAY_SECONDS": "0.01",
    "STENO_RESTARTS_LONGEST_DELAY_SECONDS": "0.05",
    "STENO_DEADLINES_PROGRESS_SECONDS": "2",
    "STENO_DEADLINES_STOP_SECONDS": "0.5",
    "STENO_OUTPUT_FORMATS": "json,srt",
    "FAKE_CHUNK_SECONDS": str(CHUNK_SECONDS),
}
UNARMED = {ARMED_BY: ""}
"""Where system calls are counted or slow: every armed place looks for its five files."""


class BrokenDaemon(DaemonUnderTest):
    """A daemon under test in which every fault point lies ready."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.traps = home / "traps"
        self.traps.mkdir(parents=True, exist_ok=True)
        armed = [
            f"{process}.{point}={how}:{self._trap(process, point, how)}"
            for process, points in POINTS_OF.items()
            for point in points
            for how in FAULTS
        ]
        super().__init__(home, {**STUBS, **PATIENT, ARMED_BY: " ".join(armed), **environment})

    def arm(self, process: str, point: str, how: str) -> Path:
        """From now on `process` breaks when it gets there, once; the file is gone from then on."""
        trap = self._trap(process, point, how)
        trap.touch()
        return trap

    def disarm(self) -> None:
        """Takes away what nobody walked into."""
        for trap in self.traps.iterdir():
            trap.unlink(missing_ok=True)

    def jobs(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        jobs: list[dict[str, Any]] = []
        while page := self.get("/v1/jobs", limit=1_000, **({"before": jobs[-1]["id"]} if jobs else {})):
            jobs += page
        return jobs

    def _trap(self, process: str, point: str, how: str) -> Path:
        return self.traps / f"{process}.{point}.{how}"


@contextmanager
def broken_daemon(home: Path, command: Sequence[str] | None = None, **environment: str) -> Iterator[BrokenDaemon]:
    """Running; afterwards stopped, and no child is left. `command` starts it, if not the usual one."""
    daemon = BrokenDaemon(home, environment)
    daemon.command = list(command or daemon.command)
    try:
        # Within: one that takes too long to answer must not stay for ever.
        daemon.start()
        yield daemon
        daemon.disarm()
        children = daemon.children()
        assert daemon.stop() == 0, daemon.log.read_text()[-2000:]
        eventually(lambda: not any(map(lives, children)), 3, "no child is left")
        assert not daemon.socket.exists(), "a socket is left"
        left = [*(home / "spool").iterdir(), *home.rglob(".stenod-*")]
        assert not left, f"temporary files are left: {left}"
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        shutil.rmtree(home / "traps", ignore_errors=True)


def pids_of(daemon: DaemonUnderTest) -> dict[str, int]:
    """Role → pid of the workers that are there."""
    workers = daemon.get("/v1/status")["workers"]
    return {worker["role"]: worker["pid"] for worker in workers if worker["pid"]}


def descriptors_of(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
