"""Events and scans → files that stopped changing → jobs.

Runs in: supervisor.

Each folder has a task of its own, so one on a dead network disk holds up no other. The periodic scan is the truth;
an event, or the moment a growing file could be settled, only brings the next scan forward.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import structlog
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from config.settings import WatchEntry, WatchingSettings
from ipc.status_views import WatchView
from supervisor.disk_thread import on_disk
from supervisor.folder_probe import FolderProbe, probe_folder
from supervisor.watch_list import WatchList
from supervisor.watched_folder import IsKnown, Take, WatchedFolder

log = structlog.get_logger()

LONGEST_PROBE_SECONDS = 10.0
"""Somebody waits for `steno doctor`."""


class NotWatched(Exception):
    """The folder is not on the list."""


class WatchFolders:
    """All watched folders: those of the settings, and those added while running, which outlive a restart."""

    def __init__(
        self,
        entries: Sequence[WatchEntry],
        settings: WatchingSettings,
        take: Take,
        is_known: IsKnown,
        *,
        excluded: Sequence[Path] = (),
        created: Collection[Path] = (),
        watch_list: WatchList | None = None,
        clock: Callable[[], float] = time.monotonic,
        make_observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        """`excluded`: spool, state, logs and output folders, not searched. `created`: made when missing at start."""
        self._settings = settings
        self._take = take
        self._is_known = is_known
        self._excluded = excluded
        self._created = created
        self._watch_list = watch_list
        self._clock = clock
        self._make_observer = make_observer
        self._in_hand: set[str] = set()
        self._folders: dict[Path, WatchedFolder] = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._added: dict[Path, bool] = {} if watch_list is None else watch_list.read()
        for entry in entries:
            self._put(entry.path, entry.recursive, permanent=True)
        for path, recursive in self._added.items():
            if path not in self._folders:
                self._put(path, recursive, permanent=False)

    async def run(self) -> None:
        """Watches until cancelled."""
        for path in self._created:
            await asyncio.to_thread(_create, path)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for path in self._folders:
                    self._begin(path)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._tasks.clear()

    def add(self, path: Path, recursive: bool) -> None:
        """Watches one more folder, now and after the next start; for one that is watched, changes `recursive`."""
        here = self._folders.get(path)
        if here is not None and here.recursive == recursive:
            return
        self._end(path)
        self._put(path, recursive, permanent=here is not None and here.permanent)
        if self._group is not None:
            self._begin(path)
        if not self._folders[path].permanent:
            self._added[path] = recursive
            self._save()
        log.info("watch_added", folder=str(path), recursive=recursive)

    def remove(self, path: Path) -> None:
        """Stops watching; one that stands in the settings comes back at the next start. Raises NotWatched."""
        if path not in self._folders:
            raise NotWatched(str(path))
        self._end(path)
        del self._folders[path]
        if self._added.pop(path, None) is not None:
            self._save()
        log.info("watch_removed", folder=str(path))

    @property
    def views(self) -> tuple[WatchView, ...]:
        """What `steno status` shows."""
        return tuple(folder.view for folder in self._folders.values())

    async def probe(self) -> tuple[FolderProbe, ...]:
        """Every watched folder tried from inside the daemon, side by side, each in a limited time."""
        return tuple(await asyncio.gather(*(self._probe(folder) for folder in self._folders)))

    async def _probe(self, path: Path) -> FolderProbe:
        limit_seconds = min(self._settings.unreachable_seconds, LONGEST_PROBE_SECONDS)
        try:
            return await asyncio.wait_for(on_disk(lambda: probe_folder(path, [path])), limit_seconds)
        except TimeoutError:
            return FolderProbe(str(path), "timed_out", f"no answer for {limit_seconds:g} s")

    def _put(self, path: Path, recursive: bool, permanent: bool) -> None:
        self._folders[path] = WatchedFolder(
            path,
            recursive,
            permanent,
            settings=self._settings,
            take=self._take,
            is_known=self._is_known,
            excluded=self._excluded,
            in_hand=self._in_hand,
            clock=self._clock,
            make_observer=self._make_observer,
        )

    def _begin(self, path: Path) -> None:
        assert self._group is not None
        self._tasks[path] = self._group.create_task(self._folders[path].run(), name=f"watch {path}")

    def _end(self, path: Path) -> None:
        task = self._tasks.pop(path, None)
        if task is not None:
            task.cancel()

    def _save(self) -> None:
        if self._watch_list is not None:
            self._watch_list.write(self._added)


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        # Its task will find it missing and wait for it.
        log.warning("folder_not_created", folder=str(folder), error=str(refusal))
