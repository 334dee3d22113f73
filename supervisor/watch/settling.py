"""The state of a watched folder's files: those that still grow, and those already processed.

Runs in: supervisor. Pure, no clock.

macOS does not report that a writer closed a file, and a copy may pause; so a file counts as finished once its size,
mtime and inode have been the same for a while. Only monotonic time is compared: an mtime in the future does not
matter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from supervisor.disks.file_identity import FileIdentity
from supervisor.watch.scan import SeenFile

Known = Callable[[Sequence[tuple[str, FileIdentity]]], Awaitable[frozenset[str]]]
"""The paths of those files that were already processed; reads no content."""
FILES_AT_ONCE = 500
"""Files that are compared before the event loop runs other tasks: there may be any number of them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file's attributes at the last scan, and since when it has had them."""

    identity: FileIdentity
    unchanged_since: float
    """Monotonic seconds."""

    def is_settled(self, now: float, settle_seconds: float) -> bool:
        """Whether it may be taken; an empty file waits. `now` may lie before the sighting: a scan takes time."""
        return self.identity.size > 0 and max(now - self.unchanged_since, 0.0) >= settle_seconds


def seen_again(before: Sighting | None, identity: FileIdentity, at: float) -> Sighting:
    """The sighting after another scan: the same one for an unchanged file, otherwise a new one."""
    return before if before is not None and before.identity == identity else Sighting(identity, at)


class FolderMemory:
    """Kept from one scan to the next; the queue stores what must outlive the daemon."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._growing: dict[str, Sighting] = {}
        self._dealt_with: dict[str, SeenFile] = {}

    @property
    def growing_count(self) -> int:
        return len(self._growing)

    def growing(self, most: int) -> tuple[str, ...]:
        """The paths of some files that still grow, first seen first."""
        return tuple(islice(self._growing, most))

    def is_due_anyway(self, path: str) -> bool:
        """Whether a scan for this file is already due. Not for an empty one: its content would be new."""
        # Called from watchdog's threads.
        sighting = self._growing.get(path)
        return sighting is not None and sighting.identity.size > 0

    async def settled(
        self, files: Sequence[SeenFile], began: float, ended: float, settle_seconds: float
    ) -> list[SeenFile]:
        """Processes a scan from `began` to `ended`, in monotonic seconds; returns the settled files, in order."""
        here: set[str] = set()
        for first in range(0, len(files), FILES_AT_ONCE):
            here.update(seen.path for seen in files[first : first + FILES_AT_ONCE])
            await asyncio.sleep(0)
        for remembered in (self._growing, self._dealt_with):
            await asyncio.sleep(0)
            for gone in remembered.keys() - here:
                del remembered[gone]
        settled: list[SeenFile] = []
        for first in range(0, len(files), FILES_AT_ONCE):
            some = [seen for seen in files[first : first + FILES_AT_ONCE] if self._dealt_with.get(seen.path) != seen]
            unheard_of = [(seen.path, seen.identity) for seen in some if seen.path not in self._growing]
            known = await self._known(unheard_of) if unheard_of else frozenset[str]()
            for seen in some:
                if seen.path in known:
                    self._dealt_with[seen.path] = seen
                    continue
                sighting = seen_again(self._growing.get(seen.path), seen.identity, ended)
                self._growing[seen.path] = sighting
                if sighting.is_settled(began, settle_seconds):
                    settled.append(seen)
            await asyncio.sleep(0)
        return settled

    def next_look(self, settle_seconds: float) -> float | None:
        """The earliest time at which a growing file could settle, in monotonic seconds."""
        growing = (sighting for sighting in self._growing.values() if sighting.identity.size > 0)
        first = min((sighting.unchanged_since for sighting in growing), default=None)
        return None if first is None else first + settle_seconds

    def put_off(self, seen: SeenFile, until: float) -> None:
        """The file has to settle again, from `until` on."""
        self._growing[seen.path] = Sighting(seen.identity, until)

    def deal_with(self, seen: SeenFile) -> None:
        """Marks the file as processed: only another file in its place is checked again."""
        self._growing.pop(seen.path, None)
        self._dealt_with[seen.path] = seen

    def forget(self) -> None:
        """The folder went away: forgets all files, so that every one is checked again."""
        self._growing.clear()
        self._dealt_with.clear()
