"""How a watched folder is: watched, offline or forbidden, why, and said once.

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
"""Files that are named of those that a look passed over; there may be as many as there are files."""


class FolderCondition:
    """Of one folder, from one look to the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_mount_point = False
        self.is_unmounted = False
        """Whether what can be read there is the empty place of a disk that is elsewhere now."""
        self.state: FolderState = "watching"
        self.note: str | None = None
        """Why it is not watched, and what to do, in words."""
        self.passed: frozenset[PassedOver] = frozenset()
        """What the last look would have taken but for a reason."""
        self.passed_first: tuple[PassedOver, ...] = ()
        """Some of that, those whose names come first."""

    def seen(self, scan: FolderScan) -> bool:
        """Takes in a look; False when it showed the empty place of a disk that was unmounted."""
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
        """It cannot be reached; nothing about its recordings is forgotten."""
        self._become("offline", f"{why}; its recordings are taken when it is there again")

    def _become(self, state: FolderState, note: str | None) -> None:
        """Says so once, not with every look."""
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
