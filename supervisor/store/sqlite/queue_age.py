"""How old the queue is, in seconds that no clock can leap over: what is kept for days is judged by this alone.

Runs in: supervisor.

The clock on the wall may be wrong for a while: a dead battery boots in 1970, a virtual machine wakes in another
month, NTP comes late. Time that the daemon itself has seen pass is counted by the monotonic clock. Time that it has
not seen, because it was not there or the machine slept, can only be had from the wall's; so much of it counts as a
wrong clock can do no harm with. A machine that is off for long forgets later, never earlier.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

UNSEEN_SHARE = 1 / 14
"""The share of a retention time that may pass in one step."""
LONGEST_UNSEEN_SECONDS = 86_400.0
PLAUSIBLE_SECONDS = 86_400.0
"""A clock that runs evenly for this long while we watch is believed, though it says earlier than it did once."""


@dataclass(frozen=True, slots=True)
class AgeRead:
    """Two clocks, read together."""

    age_seconds: float
    wall: float
    """Seconds since the epoch: the latest that ever counted. What the clock says below that was counted before."""


def age_after(last: AgeRead, wall: float, seen_seconds: float, lived_seconds: float, most_unseen: float) -> AgeRead:
    """Both clocks, read again. `seen_seconds`: passed since the last reading before our eyes, of the
    `lived_seconds` that this process has been there."""
    unseen = min(max(wall - last.wall - seen_seconds, 0.0), most_unseen)
    believed = wall if wall > last.wall or lived_seconds >= PLAUSIBLE_SECONDS else last.wall
    return AgeRead(last.age_seconds + seen_seconds + unseen, believed)


class QueueAge:
    """Kept in the table of facts; read again at each start and now and then."""

    def __init__(self, now: Callable[[], float], steady: Callable[[], float], keep_seconds: float) -> None:
        """`now` is the wall's clock, `steady` the monotonic one."""
        self._now = now
        self._steady = steady
        self._most_unseen = min(LONGEST_UNSEEN_SECONDS, keep_seconds * UNSEEN_SHARE)
        self._began = self._read_at = steady()
        self._last = AgeRead(0.0, now())

    @property
    def seconds(self) -> float:
        """Now."""
        return self._last.age_seconds + self._steady() - self._read_at

    def read(self, connection: sqlite3.Connection) -> None:
        """Counts what has passed and writes it down. Needs a transaction around it."""
        stored = dict(connection.execute("SELECT name, value FROM facts WHERE name IN ('age_seconds', 'age_wall')"))
        at = self._steady()
        last = self._last
        if len(stored) == 2:
            last = AgeRead(float(stored["age_seconds"]), float(stored["age_wall"]))
        self._last = age_after(last, self._now(), at - self._read_at, at - self._began, self._most_unseen)
        self._read_at = at
        connection.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            [("age_seconds", repr(self._last.age_seconds)), ("age_wall", repr(self._last.wall))],
        )
