"""The worker's side of decoding without a worker around it, and recordings it is asked for.

Runs in: the test process.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from eventually import eventually
from no_leftovers import children, no_leftovers

from ipc.decoder_messages import Limits
from ipc.worker_messages import AudioDecoded, Decode, ExpectedFile
from workers.decoder.decoders import Decoders
from workers.decoder.forked_child import adopt_orphans
from workers.decoder.process import PROGRAM
from workers.decoder.supply import ForkServer, Spare, StartMethod
from workers.engine import EngineRefusal
from workers.heartbeat import Cancelled

TWELVE_HOURS = 12 * 3600.0


class QuietHeartbeat:
    """What decoders ask of a worker's pulse."""

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self.steps: list[float] = []
        self.cancelled = False
        self.is_pause_wanted = False

    def enter(self, phase: str, done_seconds: float = 0.0) -> None:
        self.step(done_seconds)

    def step(self, done_seconds: float) -> None:
        self.steps.append(done_seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled


def decode(made: Decoders, request: Decode) -> AudioDecoded:
    """To the end, with no pause."""
    work = made.decode(request)
    with pytest.raises(StopIteration) as over:
        next(work)
    decoded: AudioDecoded = over.value.value
    return decoded


@contextmanager
def decoders(
    *,
    patience_seconds: float = 20.0,
    limits: Limits | None = None,
    keeps_ready: bool = False,
    program: Sequence[str] = PROGRAM,
    way: StartMethod | None = None,
) -> Iterator[Decoders]:
    """Ready, and gone at the end with all that they started."""
    with no_leftovers():
        pulse: Any = QuietHeartbeat(patience_seconds)
        made = Decoders(pulse, keeps_ready=keeps_ready, limits=limits, program=program, way=way)
        try:
            yield made
        finally:
            made.close()
            if sys.platform == "linux":
                adopt_orphans(wanted=False)  # those of other tests are for init


def wish_for(
    recording: Path, pcm: Path | None = None, *, beneath: Path | None = None, disk_seconds: float = 20.0
) -> Decode:
    """Everything as the supervisor asks it, with the file as it is now."""
    found = recording.stat()
    return Decode(
        request_id=1,
        path=str(recording),
        pcm_path=str(pcm or recording.parent / "audio.s16"),
        longest_seconds=TWELVE_HOURS,
        expected=ExpectedFile(
            device=found.st_dev, inode=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns
        ),
        beneath=None if beneath is None else str(beneath),
        disk_seconds=disk_seconds,
    )


def refusal_of(made: Decoders, wish: Decode) -> EngineRefusal:
    """What it says no with; nothing is left of the PCM."""
    with pytest.raises(EngineRefusal) as caught:
        decode(made, wish)
    assert not list(Path(wish.pcm_path).parent.glob("audio.s16*"))
    return caught.value


def ready_pid(made: Decoders) -> int | None:
    """Of the fork server or the spare, if there is one."""
    supply = made._supply
    assert isinstance(supply, ForkServer | Spare)
    ready = supply._server if isinstance(supply, ForkServer) else supply._spare
    return None if ready is None else ready.pid


def ready_processes(made: Decoders) -> list[psutil.Process]:
    """All children, once they are those that wait for a recording: of a fork server two."""
    wanted = 2 if isinstance(made._supply, ForkServer) else 1

    def found() -> list[psutil.Process]:
        here = psutil.Process().children()
        are_all = children() == here and len(here) == wanted
        return here if are_all and ready_pid(made) in [child.pid for child in here] else []

    return sorted(eventually(found), key=lambda child: child.pid != ready_pid(made))


def at_work(made: Decoders) -> list[psutil.Process]:
    """The decoder that was taken, living or undead. (The next one is not there yet: `make_ready` orders it.)"""
    ready = ready_pid(made)
    if ready is None and isinstance(made._supply, ForkServer):
        return []  # it is being started
    return [child for child in psutil.Process().children() if child.pid != ready]
