"""System calls of a daemon that fail when their turn has come, and the moment from which the disk is well again.

Runs in: the chaos run. strace makes them fail (https://strace.io, `inject`), each thread's n-th of a kind.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon_under_test import DaemonUnderTest
from eventually import eventually

ATTACH_SECONDS = 20.0
DETACH_SECONDS = 3.0
"""Then it is killed: it may wait for a thread that an exec has ended under its hands."""
GONE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What is to fail."""

    calls: str
    """As strace names them, commas between."""
    error: str
    number: int
    """The n-th of each thread."""

    def __str__(self) -> str:
        return f"{self.error} at the {self.number}. {self.calls}"

    @property
    def told_to_strace(self) -> tuple[str, ...]:
        """Without --seccomp-bpf: a process whose tracer has gone would find the calls gone, too."""
        inject = f"inject={self.calls}:error={self.error}:when={self.number}"
        return ("-I2", "-f", "-qqq", "-s", "0", "-e", "signal=none", "-e", f"trace={self.calls}", "-e", inject)


def struck(listing: Path) -> int:
    """How many calls have failed by now."""
    with suppress(FileNotFoundError):
        return listing.read_bytes().count(b"(INJECTED)")
    return 0


@contextmanager
def failing(daemon: DaemonUnderTest, failure: Failure, listing: Path) -> Iterator[None]:
    """The daemon and its workers as they are now, under strace. Once the block is over, all is well again."""
    watched = [daemon.pid, *(child.pid for child in daemon.children())]
    attached = [told for pid in watched for told in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", *failure.told_to_strace, "-o", str(listing), *attached])
    try:
        eventually(lambda: tracer_of(daemon.pid) or tracer.poll() is not None, ATTACH_SECONDS, "strace is attached")
        yield
    finally:
        tracer.terminate()
        with suppress(subprocess.TimeoutExpired):
            tracer.wait(DETACH_SECONDS)
        tracer.kill()
        tracer.wait(GONE_SECONDS)


def under_strace(daemon: DaemonUnderTest, failure: Failure, listing: Path) -> list[str]:
    """The command that starts the daemon with calls that fail from the first one on."""
    # -D: the tracer steps aside, and the daemon stays our own child.
    return ["strace", "-D", *failure.told_to_strace, "-o", str(listing), *daemon.command]


def tracer_of(pid: int) -> int | None:
    """None: it is not traced, or gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1]) or None
    return None


def make_well(pid: int) -> None:
    """Ends the tracer that `under_strace` began, and with it all failures."""
    began = time.monotonic()
    while (tracer := tracer_of(pid)) is not None:
        waited = time.monotonic() - began
        with suppress(ProcessLookupError):
            os.kill(tracer, signal.SIGTERM if waited < DETACH_SECONDS else signal.SIGKILL)
        time.sleep(0.02)
        assert waited < GONE_SECONDS, f"strace does not let go of {pid}"
