"""When a file has stopped changing: pure, no clock.

Runs in: supervisor.

macOS tells nobody that a writer closed a file, and a copy may pause; so a file counts as finished once size, mtime
and inode stayed the same for a while. Only monotonic time is compared: an mtime in the future changes nothing.
"""

from dataclasses import dataclass

from supervisor.disks.file_identity import FileIdentity


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a file was when it was last looked at, and since when it has been that."""

    identity: FileIdentity
    unchanged_since: float
    """Monotonic seconds."""

    def settles_at(self, settle_seconds: float) -> float | None:
        """When it counts as finished if nothing happens; None for an empty file, which waits for its content."""
        return self.unchanged_since + settle_seconds if self.identity.size > 0 else None

    def is_settled(self, now: float, settle_seconds: float) -> bool:
        """Whether it may be taken. `now` may lie before the sighting, as a scan takes a while."""
        return self.identity.size > 0 and max(now - self.unchanged_since, 0.0) >= settle_seconds


def seen_again(before: Sighting | None, identity: FileIdentity, at: float) -> Sighting:
    """The sighting after another look: the same one for the same file, a new one when anything changed."""
    return before if before is not None and before.identity == identity else Sighting(identity, at)
