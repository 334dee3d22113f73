"""What is known about the files of one watched folder: those that still grow, and those that were dealt with.

Runs in: supervisor.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from supervisor.folder_scan import SeenFile
from supervisor.job import FileIdentity
from supervisor.settling import Sighting, seen_again

IsKnown = Callable[[Path, FileIdentity], Awaitable[bool]]
"""Whether this very file was dealt with before; reads no content."""


class FolderMemory:
    """Kept from one look to the next; what must outlive the daemon is the queue's to know."""

    def __init__(self, is_known: IsKnown) -> None:
        self._is_known = is_known
        self._growing: dict[str, Sighting] = {}
        self._dealt_with: dict[str, SeenFile] = {}

    @property
    def growing(self) -> tuple[str, ...]:
        return tuple(self._growing)

    def is_due_anyway(self, path: str) -> bool:
        """Whether the file is looked at in time without being asked. An empty one is not: its content is news."""
        # Called from watchdog's threads.
        sighting = self._growing.get(path)
        return sighting is not None and sighting.identity.size > 0

    async def settled(
        self, files: Sequence[SeenFile], began: float, ended: float, settle_seconds: float
    ) -> list[SeenFile]:
        """Takes in a look from `began` to `ended`, in monotonic seconds; the files that may be taken, in order."""
        here = {seen.path for seen in files}
        for known in (self._growing, self._dealt_with):
            for gone in known.keys() - here:
                del known[gone]
        settled: list[SeenFile] = []
        for seen in files:
            if self._dealt_with.get(seen.path) == seen:
                continue
            before = self._growing.get(seen.path)
            if before is None and await self._is_known(Path(seen.path), seen.identity):
                self._dealt_with[seen.path] = seen
                continue
            sighting = seen_again(before, seen.identity, ended)
            self._growing[seen.path] = sighting
            if sighting.is_settled(began, settle_seconds):
                settled.append(seen)
        return settled

    def next_look(self, settle_seconds: float) -> float | None:
        """When the first growing file could be settled, in monotonic seconds."""
        times = (sighting.settles_at(settle_seconds) for sighting in self._growing.values())
        return min((at for at in times if at is not None), default=None)

    def put_off(self, seen: SeenFile, until: float) -> None:
        """It has to hold still once more, from `until` on."""
        self._growing[seen.path] = Sighting(seen.identity, until)

    def deal_with(self, seen: SeenFile) -> None:
        """Only another file in its place is looked at again."""
        self._growing.pop(seen.path, None)
        self._dealt_with[seen.path] = seen

    def forget(self) -> None:
        """The folder went away: every file is asked about anew."""
        self._growing.clear()
        self._dealt_with.clear()
