"""A stand-in for the queue: it takes files from watched folders and remembers them.

Runs in: the test process.
"""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on this loop

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from eventually import eventually_async
from watchdog.observers import Observer

from config.settings import Settings, WatchingSettings
from config.watch_entry import WatchEntry
from supervisor.disks.file_identity import FileIdentity, FileRefused
from supervisor.system.reload import LiveSettings
from supervisor.watch.watcher import WatchFolders

SETTLE_SECONDS = 0.15
NEVER_SECONDS = 3600.0


class Desk:
    """Takes files as the queue does: remembers each file, and refuses those that the test names."""

    def __init__(self) -> None:
        self.taken: list[Path] = []
        self.content: dict[Path, bytes] = {}
        self.refused: list[Path] = []
        self.failures_left = 0
        self.entries: dict[Path, WatchEntry] = {}
        self._known: set[tuple[Path, FileIdentity]] = set()

    async def take(self, path: Path, entry: WatchEntry) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise OSError(28, "No space left on device")
        content = path.read_bytes()
        if content == b"refuse":
            self.refused.append(path)
            raise FileRefused("not_a_recording", f"{path} is none", "convert it")
        facts = path.stat()
        self._known.add((path, FileIdentity(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)))
        self.taken.append(path)
        self.entries[path] = entry
        self.content[path] = content

    async def known(self, files: Sequence[tuple[str, FileIdentity]]) -> frozenset[str]:
        return frozenset(path for path, identity in files if self._is_known(Path(path), identity))

    def _is_known(self, path: Path, identity: FileIdentity) -> bool:
        if identity.inode == 0:
            known = {(where, replace(what, device=0, inode=0)) for where, what in self._known}
            return (path, identity) in known
        return (path, identity) in self._known

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.taken)


class DeafObserver(Observer):  # type: ignore[misc, valid-type]  # watchdog's Observer is chosen at run time
    """Alive, but reports no event, as after an overflow."""

    def dispatch_events(self, event_queue: object) -> None:
        event_queue.get(block=True)  # type: ignore[attr-defined]


def settings_for(
    *folders: Path,
    scan_seconds: float = NEVER_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    polling: bool | None = False,
    **rest: object,
) -> Settings:
    """Settings that watch each folder with the `rest`, by events unless `polling` is set, on any disk."""
    entries = tuple(WatchEntry.model_validate({"path": folder, "polling": polling, **rest}) for folder in folders)
    looking = WatchingSettings(settle_seconds=settle_seconds, scan_seconds=scan_seconds)
    return Settings(watch=entries, watching=looking)


@asynccontextmanager
async def running(watches: WatchFolders) -> AsyncIterator[WatchFolders]:
    task = asyncio.create_task(watches.run())
    try:
        yield watches
        assert not task.done(), "the watcher ended before its test"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watching(desk: Desk, settings: Settings | LiveSettings, **rest: object) -> WatchFolders:
    live = settings if isinstance(settings, LiveSettings) else LiveSettings(settings)
    return WatchFolders(live, desk.take, desk.known, **rest)  # type: ignore[arg-type]


async def taken(desk: Desk, *names: str) -> None:
    await eventually_async(lambda: desk.names == sorted(names), what=f"taken: {sorted(names)}")


async def sentinel_taken(desk: Desk, folder: Path) -> None:
    """Once a file dropped last is taken, every earlier file was considered."""
    sentinel = folder / "sentinel.wav"
    sentinel.write_bytes(b"last")
    await eventually_async(lambda: sentinel in desk.taken, what="the sentinel")
