"""The state of a watched folder: watched, offline or forbidden, with the reason, logged once.

Runs in: supervisor.
"""

import sys
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import assert_never

import structlog

from ipc.vocabulary import FolderState
from supervisor.watch.access_check import permission_hint
from supervisor.watch.scan import FolderScan, PassedOver

log = structlog.get_logger()

MOST_NAMED = 20
"""How many of a scan's skipped files are listed; any number may be skipped."""


class FolderCondition:
    """The state of one folder, from one scan to the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_mount_point = False
        self.is_unmounted = False
        """Whether the folder is the empty mount point of an unmounted disk."""
        self.state: FolderState = "watching"
        self.note: str | None = None
        """Why it is not watched, and what to do."""
        self.passed: frozenset[PassedOver] = frozenset()
        """The files that the last scan skipped, with the reason."""
        self.passed_first: tuple[PassedOver, ...] = ()
        """Some of them, first by name."""

    def seen(self, scan: FolderScan) -> bool:
        """Processes a scan; False if it found the empty mount point of an unmounted disk."""
        self.is_unmounted = self._was_mount_point and not scan.is_mount_point and scan.is_bare
        if self.is_unmounted:
            self.offline("its disk is not mounted")
            return False
        self._was_mount_point = scan.is_mount_point
        self._become("watching", None)
        news = scan.passed - self.passed
        for passed in islice(news, MOST_NAMED):
            log.warning("file_passed_over", path=passed.path, reason=passed.why)
        if len(news) > MOST_NAMED:
            log.warning("files_passed_over", folder=str(self._path), files=len(news) - MOST_NAMED)
        if scan.passed != self.passed:
            self.passed_first = tuple(nsmallest(MOST_NAMED, scan.passed, key=lambda passed: passed.path))
        self.passed = scan.passed
        return True

    def unread(self, error: OSError) -> None:
        """The folder itself could not be read."""
        if isinstance(error, PermissionError):
            self._become("needs_permission", f"{error.strerror}: {permission_hint(sys.platform)}")
        elif isinstance(error, FileNotFoundError):
            self.offline("it is not there")
        else:
            self.offline(error.strerror or str(error))

    def offline(self, why: str) -> None:
        """Marks it offline; keeps the state of its recordings."""
        self._become("offline", f"{why}; its recordings are processed when it is back")

    def _become(self, state: FolderState, note: str | None) -> None:
        """Logs a state once, not with every scan."""
        self.note = note
        if state == self.state:
            return
        self.state = state
        match state:
            case "watching":
                log.info("folder_back", folder=str(self._path))
            case "offline":
                log.warning("folder_offline", folder=str(self._path), note=note)
            case "needs_permission":
                log.warning("folder_not_permitted", folder=str(self._path), note=note)
            case _:
                assert_never(state)
