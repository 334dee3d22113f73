"""Disks that may stop answering: every access has a deadline, and a silent disk is left alone.

Runs in: supervisor, the accesses in separate threads.

A hard NFS mount, a share whose server went away or an unplugged USB disk may block a system call, and its thread,
forever. Such a thread cannot be ended, only given up. So a disk that did not answer in time counts as silent: it is
not accessed until one of its blocked threads, or a single probe, returns. A path is walked name by name before it is
accessed, for a symbolic link may lead to another disk.
"""

import asyncio
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

import structlog

from ipc.errors import OneReason
from supervisor.disks.access import DiskAccess, ends
from supervisor.disks.mounts import Mount, mount_of, mounts_now
from supervisor.system.deadline import is_set_within
from supervisor.system.threads import run_detached

LINKS_FOLLOWED = 40
"""As many as Linux follows."""


def disks_on_the_way(path: str, mounts: Sequence[Mount]) -> Iterator[Mount]:
    """The disk of each name of the path, before that name is accessed; follows links as the system does.

    Ends early at a name that is missing or not accessible: the work itself will report it.
    """
    here, left, links = "/", [name for name in path.split("/") if name], 0
    while True:
        mount = mount_of(here, mounts)
        if mount is not None:
            yield mount
        if not left:
            return
        name = left.pop(0)
        if name in (".", ".."):
            here = os.path.dirname(here) if name == ".." else here  # noqa: PTH120 - text alone
            continue
        there = f"{here.rstrip('/')}/{name}"
        mount = mount_of(there, mounts)
        if mount is not None:
            yield mount
        try:
            is_link = stat.S_ISLNK(os.lstat(there).st_mode)
            target = os.readlink(there) if is_link else None  # noqa: PTH115
        except (OSError, ValueError):
            return
        if target is None:
            here = there
            continue
        links += 1
        if links > LINKS_FOLLOWED:
            return
        left = [part for part in target.split("/") if part] + left
        here = "/" if target.startswith("/") else here


log = structlog.get_logger()

LOOK_SECONDS = 8.0
"""For a look at a file: a sleeping disk wakes within this time. The caller gets an answer within ten seconds."""
LONGEST_READING_SECONDS = 600.0
"""For reading a whole recording without progress reports."""
WORK_SECONDS = 60.0
"""For work with a heartbeat at every block: this long without one means that the disk hangs."""
ACCESSES_AT_ONCE = 12
"""Threads on one disk; further ones wait. A silent disk can block this many threads."""
PROBES_AT_ONCE = 3
"""A probe may hang although the disk answers others."""
FIRST_PROBE_SECONDS = 10.0
LONGEST_PROBE_SECONDS = 300.0

Answer = TypeVar("Answer")


class DiskNotAnswering(OneReason):
    """The disk did not answer in time, now or a moment ago."""

    code = "disk_not_answering"

    def __init__(self, path: str, disk: str) -> None:
        super().__init__(
            f"the disk of {path} does not answer" + (f": {disk}" if disk != "/" else ""),
            "bring its disk or server back, or unmount it; waiting work then continues automatically",
        )
        self.path = path
        self.disk = disk
        """Where it is mounted."""


DiskWork = Callable[[DiskAccess], Answer]


@dataclass(slots=True, eq=False)
class SilentDisk:
    """A disk that did not answer."""

    mount: Mount
    since: float
    """Seconds since the epoch."""
    path: str
    """The path that was accessed then."""
    probes: "list[asyncio.Future[os.statvfs_result]]" = field(default_factory=list)
    """The task that probes whether it is back."""
    asking: "asyncio.Task[None] | None" = None

    @property
    def disk(self) -> str:
        """Where it is mounted."""
        return self.mount.point


class _Crowded(Exception):
    """The thread limit of this disk is reached."""

    def __init__(self, disk: str) -> None:
        super().__init__(disk)
        self.disk = disk


class ForeignDisks:
    """All accesses to foreign disks go through here. One instance for the daemon; used from its event loop."""

    def __init__(
        self,
        *,
        mounts: Callable[[], Sequence[Mount]] = mounts_now,
        look_seconds: float = LOOK_SECONDS,
        work_seconds: float = WORK_SECONDS,
        first_probe_seconds: float = FIRST_PROBE_SECONDS,
    ) -> None:
        self.on_answer: Callable[[], None] = lambda: None
        """Called when a disk answers again."""
        self._mounts = mounts
        self._look_seconds = look_seconds
        self._work_seconds = work_seconds
        self._first_probe_seconds = first_probe_seconds
        self._lock = threading.Lock()
        self._silent: dict[str, SilentDisk] = {}
        """By the mount's identity: another disk at the same mount point is another disk."""
        self._held: Counter[str] = Counter()
        """Mount → its threads, including those that were given up."""
        self._freed = asyncio.Event()

    # --- what others ask of it -------------------------------------------------------------------------------

    async def look(self, path: Path | str, look: Callable[[], Answer], seconds: float | None = None) -> Answer:
        """Runs a short look in a thread and returns or raises its result. Raises DiskNotAnswering within
        `look_seconds`."""
        return await self._access([str(path)], lambda access: look(), seconds or self._look_seconds)

    async def work(self, path: Path | str, work: "DiskWork[Answer]", *, also: Sequence[Path] = ()) -> Answer:
        """The same for long work: it calls `heartbeat` with every block, and before any final step.

        Work on several paths passes to each heartbeat the path that it accesses next: that path's disk is silent if
        no heartbeat follows. Raises DiskNotAnswering after `work_seconds` without a heartbeat. Work that is given up
        may still end much later.
        """
        return await self._access([str(path), *map(str, also)], work, self._work_seconds)

    @property
    def silent(self) -> Sequence[SilentDisk]:
        """The silent disks, the longest silent first."""
        return sorted(self._silent.values(), key=lambda silent_disk: silent_disk.since)

    def close(self) -> None:
        """Stops all probes; no caller waits for a disk any more."""
        for silent_disk in self._silent.values():
            if silent_disk.asking is not None:
                silent_disk.asking.cancel()

    # --- one access ------------------------------------------------------------------------------------------

    async def _access(self, paths: Sequence[str], work: "DiskWork[Answer]", quiet_seconds: float) -> Answer:
        give_up_at = time.monotonic() + quiet_seconds
        while True:
            access = DiskAccess(paths)
            doing = run_detached(partial(self._in_thread, access, work))
            doing.add_done_callback(self._is_free)
            try:
                if await ends(doing, access, quiet_seconds):
                    return doing.result()
                self._fell_silent(access, doing)
                raise DiskNotAnswering(access.path, "/" if access.mount is None else access.mount.point)
            except _Crowded as crowded:
                await self._until_free(access.path, crowded.disk, give_up_at)
            finally:
                access.give_up()

    async def _until_free(self, path: str, disk: str, give_up_at: float) -> None:
        if not await is_set_within(self._freed, max(0.0, give_up_at - time.monotonic())):
            raise DiskNotAnswering(path, disk)

    def _is_free(self, doing: "asyncio.Future[Answer]") -> None:
        if not doing.cancelled():
            doing.exception()  # marks the exception as retrieved, even if no caller waits
        self._freed.set()
        self._freed = asyncio.Event()

    def _in_thread(self, access: DiskAccess, work: "DiskWork[Answer]") -> Answer:
        try:
            for path in access.paths:
                self._go_to(access, path)
            access.heartbeat(access.paths[0])
            return work(access)
        finally:
            with self._lock:
                self._leave(access, access.holds)

    def _go_to(self, access: DiskAccess, path: str) -> None:
        here: Mount | None = None
        access.path = path
        for mount in disks_on_the_way(path, self._mounts()):
            if here is None or mount.name != here.name:
                access.mount = mount
                self._enter(access, mount, here)
                access.mounts[path] = here = mount

    def _enter(self, access: DiskAccess, mount: Mount, before: Mount | None) -> None:
        with self._lock:
            if mount.name in self._silent:
                raise DiskNotAnswering(access.path, mount.point)
            if self._held[mount.name] >= ACCESSES_AT_ONCE:
                raise _Crowded(mount.point)
            self._held[mount.name] += 1
            access.holds.append(mount.name)
            if before is not None:
                self._leave(access, [before.name])

    def _leave(self, access: DiskAccess, disks: Sequence[str]) -> None:
        """Under the lock."""
        for disk in [disk for disk in disks if disk in access.holds]:
            access.holds.remove(disk)
            self._held[disk] -= 1

    # --- silent disks ---------------------------------------------------------------------------------------------

    def _fell_silent(self, access: DiskAccess, doing: "asyncio.Future[Answer]") -> None:
        mount = access.mount
        if mount is None:
            return
        with self._lock:
            # The thread is blocked on this disk: it no longer counts for the other disks of its work.
            self._leave(access, [disk for disk in access.holds if disk != mount.name])
            silent_disk = self._silent.get(mount.name)
            is_news = silent_disk is None
            if silent_disk is None:
                silent_disk = self._silent[mount.name] = SilentDisk(mount, time.time(), access.path)
        if is_news:
            log.warning("disk_not_answering", disk=mount.point, kind=mount.kind, path=access.path)
            silent_disk.asking = asyncio.ensure_future(self._ask_again(silent_disk))
        # Its blocked thread is the best probe: it returns when the disk does.
        doing.add_done_callback(lambda _: self._answered(silent_disk))

    async def _ask_again(self, silent_disk: SilentDisk) -> None:
        pause_seconds = self._first_probe_seconds
        while True:
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PROBE_SECONDS)
            if all(mount.name != silent_disk.mount.name for mount in self._mounts()):
                self._answered(silent_disk)  # it was unmounted; its successor is probed separately
                return
            silent_disk.probes = [probe for probe in silent_disk.probes if not probe.done()]
            if len(silent_disk.probes) < PROBES_AT_ONCE:
                # A request to the disk itself: cached file attributes prove nothing.
                probe = run_detached(partial(os.statvfs, silent_disk.disk))
                probe.add_done_callback(lambda done: done.cancelled() or done.exception())
                probe.add_done_callback(lambda _: self._answered(silent_disk))
                silent_disk.probes.append(probe)

    def _answered(self, silent_disk: SilentDisk) -> None:
        with self._lock:
            if self._silent.get(silent_disk.mount.name) is not silent_disk:
                return
            del self._silent[silent_disk.mount.name]
        if silent_disk.asking is not None:
            silent_disk.asking.cancel()
        log.info("disk_answers_again", disk=silent_disk.disk)
        self.on_answer()


_OF_LOOP: "WeakKeyDictionary[asyncio.AbstractEventLoop, ForeignDisks]" = WeakKeyDictionary()


def disks() -> ForeignDisks:
    """The instance of the running loop, shared by all parts of the daemon."""
    return _OF_LOOP.setdefault(asyncio.get_running_loop(), ForeignDisks())
