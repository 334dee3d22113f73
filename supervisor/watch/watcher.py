"""Events and scans → files that stopped changing → jobs.

Runs in: supervisor.

Each folder has its own task, so a dead network disk does not block the others. The periodic scan is the truth; an
event, or the settle time of a growing file, only brings the next scan forward.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from config.watch_entry import WatchEntry
from ipc.errors import OneReason
from ipc.status_views import WatchView
from supervisor.system.reload import LiveSettings
from supervisor.watch.access_check import FolderProbe
from supervisor.watch.entries import WatchList, with_hooks_of
from supervisor.watch.folder import SubmitRecording, WatchedFolder
from supervisor.watch.folder_rules import FolderTerms, folder_terms
from supervisor.watch.scan import SeenFile
from supervisor.watch.settling import Known

log = structlog.get_logger()


class NotWatched(OneReason):
    """The folder is not watched."""

    code = "no_such_watch"


@dataclass(eq=False)
class WatchFolders:
    """All watched folders: those of the settings, and those added while running, which persist across restarts.

    An added folder overrides the same folder in the settings.
    """

    settings: LiveSettings
    take: SubmitRecording
    known: Known
    excluded: Sequence[Path] = ()
    """Spool, state and logs, not searched."""
    created: Collection[Path] = ()
    """Made when missing at start."""
    watch_list: WatchList | None = None
    clock: Callable[[], float] = time.monotonic
    make_observer: Callable[[], BaseObserver] = Observer

    def __post_init__(self) -> None:
        self._in_hand: set[str] = set()
        self._folders: dict[Path, WatchedFolder] = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._added: dict[Path, WatchEntry] = {} if self.watch_list is None else self.watch_list.read()
        self._removed: set[Path] = set()
        self._arrange()

    async def run(self) -> None:
        """Watches until cancelled."""
        for path in self.created:
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

    def settings_changed(self) -> None:
        """They were read again: folders come and go and change; what is known about their files stays."""
        self._removed.clear()
        self._arrange()

    def add(self, entry: WatchEntry) -> None:
        """Adds a folder, now and after restarts, or replaces its entry."""
        self._removed.discard(entry.path)
        self._added[entry.path] = entry
        if any(with_hooks_of(entry, stands) == stands for stands in self.settings.current.watch):
            del self._added[entry.path]  # the settings already say that
        self._arrange()
        self._save()
        log.info("watch_added", folder=str(entry.path), recursive=entry.recursive)

    def remove(self, path: Path) -> None:
        """Stops watching; a folder in the settings comes back when they are reloaded. Raises NotWatched."""
        if path not in self._folders:
            raise NotWatched(f"{str(path)!r} is not watched", "`steno watch list` shows the watched folders")
        self._removed.add(path)
        was_added = self._added.pop(path, None) is not None
        self._arrange()
        if was_added:
            self._save()
        log.info("watch_removed", folder=str(path))

    def entry(self, path: Path | str) -> WatchEntry | None:
        """The current entry of this folder, with hooks; None: not watched."""
        folder = self._folders.get(Path(path))
        return None if folder is None else folder.entry

    async def is_away(self, path: Path | str) -> bool:
        """Whether this watched folder is unreachable now, even if its next scan has not yet reported it."""
        folder = self._folders.get(Path(path))
        return folder is not None and await folder.is_away()

    async def find(self, is_wanted: Callable[[SeenFile], bool]) -> list[tuple[SeenFile, WatchEntry]]:
        """The wanted files of all watched folders at this moment, each with its folder."""
        folders = list(self._folders.values())
        found = await asyncio.gather(*(folder.find(is_wanted) for folder in folders))
        return [(seen, folder.entry) for folder, files in zip(folders, found, strict=True) for seen in files]

    @property
    def views(self) -> tuple[WatchView, ...]:
        """What `steno status` shows."""
        return tuple(folder.view for folder in self._folders.values())

    async def probe(self) -> tuple[FolderProbe, ...]:
        """Probes every watched folder from inside the daemon, in parallel, each with a deadline."""
        return tuple(await asyncio.gather(*(folder.probe() for folder in self._folders.values())))

    def _arrange(self) -> None:
        """Updates the folders to the settings and the added ones. Each gets the rules about the others."""
        stand = {entry.path: entry for entry in self.settings.current.watch if entry.path not in self._removed}
        added = {path: with_hooks_of(entry, stand.get(path)) for path, entry in self._added.items()}
        terms = folder_terms(stand | added, added, self.settings.current, self.excluded)
        for path in self._folders.keys() - terms.keys():
            self._end(path)
        for path, of_one in terms.items():
            if path in self._folders:
                self._folders[path].use(of_one)
                continue
            self._folders[path] = self._folder(path, of_one)
            if self._group is not None:
                self._begin(path)

    def _folder(self, path: Path, terms: FolderTerms) -> WatchedFolder:
        return WatchedFolder(path, terms, self.take, self.known, self._in_hand, self.clock, self.make_observer)

    def _begin(self, path: Path) -> None:
        assert self._group is not None
        self._tasks[path] = self._group.create_task(self._folders[path].run(), name=f"watch {path}")

    def _end(self, path: Path) -> None:
        del self._folders[path]
        task = self._tasks.pop(path, None)
        if task is not None:
            task.cancel()

    def _save(self) -> None:
        if self.watch_list is not None:
            self.watch_list.write(self._added.values())


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        # Its task will find it missing and wait for it.
        log.warning("folder_not_created", folder=str(folder), error=str(refusal))
