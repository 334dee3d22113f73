"""One access to disks that may stop answering, as its thread sees it, and as its caller does.

Runs in: supervisor, the accesses in separate threads.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from supervisor.disks.mounts import Mount
from supervisor.system.deadline import OVERSLEPT_SECONDS

Answer = TypeVar("Answer")


class NoLongerWanted(Exception):
    """The caller has given up this work: it must not change anything any more."""


class DiskAccess:
    """Work on the disks of one path, or of several."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.path = paths[0]
        """The path that is accessed now."""
        self.mount: Mount | None = None
        """Its disk; None: not known yet."""
        self.mounts: dict[str, Mount] = {}
        """Path → the disk that it leads to."""
        self.holds: list[str] = []
        """The disks on which this counts as a thread."""
        self.last_heartbeat = time.monotonic()
        self._is_given_up = threading.Event()

    def heartbeat(self, at: Path | str | None = None) -> None:
        """The work makes progress and is about to access the path `at`. Raises NoLongerWanted."""
        if at is not None:
            self.path = str(at)
            self.mount = self.mounts.get(self.path, self.mount)
        self.last_heartbeat = time.monotonic()
        if self._is_given_up.is_set():
            raise NoLongerWanted(self.path)

    def give_up(self) -> None:
        """Marks it as given up by the caller."""
        self._is_given_up.set()


def with_heartbeats(blocks: Iterator[bytes], access: DiskAccess) -> Iterator[bytes]:
    """The same blocks, with a heartbeat at each one and at the end. Raises NoLongerWanted."""
    for block in blocks:
        access.heartbeat()
        yield block
    access.heartbeat()


async def ends(doing: "asyncio.Future[Answer]", access: DiskAccess, quiet_seconds: float) -> bool:
    """Whether the work ends; False: no heartbeat for `quiet_seconds`. A deadline that passed while we slept
    restarts."""
    while not doing.done():
        due = access.last_heartbeat + quiet_seconds
        if (left := due - time.monotonic()) > 0:
            await asyncio.wait({doing}, timeout=left)
        elif -left > OVERSLEPT_SECONDS:
            access.last_heartbeat = time.monotonic()
        else:
            return False
    return True
