"""What is known about the files of one watched folder: those that still grow, and those that were dealt with.

Runs in: supervisor. Pure, no clock.

macOS does not tell that a writer closed a file, and a copy may pause; so a file counts as finished once size, mtime
and inode stayed the same for a while. Only monotonic time is compared: an mtime in the future changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from supervisor.disks.file_identity import FileIdentity
from supervisor.watch.scan import SeenFile

Known = Callable[[Sequence[tuple[str, FileIdentity]]], Awaitable[frozenset[str]]]
"""Of these very files, the paths of those that were dealt with before; reads no content."""
FILES_AT_ONCE = 500
"""Files that are compared before others have their turn on the event loop: there may be any number of them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a file was when it was last looked at, and since when it has been that."""

    identity: FileIdentity
    unchanged_since: float
    """Monotonic seconds."""

    def is_settled(self, now: float, settle_seconds: float) -> bool:
        """Whether it may be taken; an empty file waits. `now` may lie before the sighting: a scan takes time."""
        return self.identity.size > 0 and max(now - self.unchanged_since, 0.0) >= settle_seconds


def seen_again(before: Sighting | None, identity: FileIdentity, at: float) -> Sighting:
    """The sighting after another look: the same one for the same file, a new one when anything changed."""
    return before if before is not None and before.identity == identity else Sighting(identity, at)


class FolderMemory:
    """Kept from one look to the next; what must outlive the daemon is the queue's to know."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._growing: dict[str, Sighting] = {}
        self._dealt_with: dict[str, SeenFile] = {}

    @property
    def growing_count(self) -> int:
        return len(self._growing)

    def growing(self, most: int) -> tuple[str, ...]:
        """The paths of some files that still grow, those seen first."""
        return tuple(islice(self._growing, most))

    def is_due_anyway(self, path: str) -> bool:
        """Whether the file is looked at in time without being asked. An empty one is not: its content is news."""
        # Called from watchdog's threads.
        sighting = self._growing.get(path)
        return sighting is not None and sighting.identity.size > 0

    async def settled(
        self, files: Sequence[SeenFile], began: float, ended: float, settle_seconds: float
    ) -> list[SeenFile]:
        """Takes in a look from `began` to `ended`, in monotonic seconds; the files that may be taken, in order."""
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
        """When the first growing file could be settled, in monotonic seconds."""
        growing = (sighting for sighting in self._growing.values() if sighting.identity.size > 0)
        first = min((sighting.unchanged_since for sighting in growing), default=None)
        return None if first is None else first + settle_seconds

    def put_off(self, seen: SeenFile, until: float) -> None:
        """It has to hold still once more, from `until` on."""
        self._growing[seen.path] = Sighting(seen.identity, until)

    def deal_with(self, seen: SeenFile) -> None:
        """Only another file in its place is looked at again."""
        self._growing.pop(seen.path, None)
        self._dealt_with[seen.path] = seen

    def forget(self) -> None:
        """The folder went away: every file is asked about again."""
        self._growing.clear()
        self._dealt_with.clear()
