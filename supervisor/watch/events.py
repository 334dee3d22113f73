"""File system events of a folder: a hint, never the truth.

Runs in: supervisor, in watchdog's threads.

watchdog silently drops overflows on both platforms, guesses renames, and its threads end when the folder goes away.
So an event only means "scan soon"; the kind of event does not matter.
"""

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog import events
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

log = structlog.get_logger()

# Everything but reads: our own scans of the folder would cause events.
NOT_OF_READING: list[type[events.FileSystemEvent]] = [
    events.FileCreatedEvent,
    events.FileModifiedEvent,
    events.FileMovedEvent,
    events.FileDeletedEvent,
    events.FileClosedEvent,
    events.DirCreatedEvent,
    events.DirModifiedEvent,
    events.DirMovedEvent,
    events.DirDeletedEvent,
]


LONGEST_PATH_BYTES = 1024
"""macOS, MAXPATHLEN of <sys/param.h>: what F_GETPATH writes at most."""


def spelled_by_the_disk(folder: Path) -> Path:
    """The folder's path as a Mac's disk has it, for one that was typed in another letter case or leads over a link.

    FSEvents reports the disk's spelling, and watchdog drops what does not begin as it was asked for. Elsewhere, and
    where the system does not tell, the path as it is.
    """
    if sys.platform == "darwin":
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                told = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(LONGEST_PATH_BYTES))
            finally:
                os.close(descriptor)
        except OSError:
            return folder
        return Path(os.fsdecode(told.rstrip(b"\0")))
    else:  # noqa: RET505  without it, mypy finds one of the two unreachable on each platform
        return folder


class FolderEvents(events.FileSystemEventHandler):
    """Calls `look_soon` from its own thread when a scan of the folder could find something new."""

    def __init__(
        self,
        folder: Path,
        is_news: Callable[[str], bool],
        look_soon: Callable[[], None],
        make_observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        """`is_news`: whether the file at this path is wanted and has no scan scheduled already: each write is an
        event."""
        self._folder = folder
        self._recursive = False
        self._is_news = is_news
        self._look_soon = look_soon
        self._make_observer = make_observer
        self._observer: BaseObserver | None = None
        self._place: tuple[int, int] | None = None
        self._failed = False

    def on_any_event(self, event: events.FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if event.is_directory or any(self._is_news(path) for path in paths):
            self._look_soon()

    def revive(self, place: tuple[int, int], recursive: bool) -> bool:
        """Starts the observer, or replaces one that has died or watches an outdated folder.

        Returns whether events come from now on that did not come before.

        `place`: the folder's device and inode. Blocks during the setup; call it in a thread. Without events, the
        scans still find everything, so a failure is logged once and retried next time.
        """
        if self._is_alive() and (place, recursive) == (self._place, self._recursive):
            return False
        if self._observer is not None and recursive == self._recursive:
            log.info("folder_events_lost", folder=str(self._folder))
        self.stop()
        self._recursive = recursive
        try:
            self._observer = self._make_observer()
            self._observer.start()
            spelled = str(spelled_by_the_disk(self._folder))
            self._observer.schedule(self, spelled, recursive=recursive, event_filter=NOT_OF_READING)
        except (OSError, RuntimeError) as refusal:  # RuntimeError: no more threads, or FSEvents has the folder still
            self.stop()
            if not self._failed:
                hint = "only the periodic scan finds new files here; on Linux raise fs.inotify.max_user_watches"
                log.warning("folder_events_unavailable", folder=str(self._folder), error=str(refusal), hint=hint)
            self._failed = True
        else:
            self._place = place
            self._failed = False
        return self._place is not None

    def stop(self) -> None:
        """Tells the threads to end, without waiting: on a lost disk they may never end."""
        if self._observer is not None:
            self._observer.stop()
        self._observer = None
        self._place = None

    def _is_alive(self) -> bool:
        # An emitter ends when its folder is deleted; its observer does not notice.
        observer = self._observer
        return observer is not None and observer.is_alive() and any(one.is_alive() for one in observer.emitters)
