"""A lock with priorities: urgent tasks first, otherwise first come, first served.

Runs in: supervisor.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

MOST_PASSING = 32
"""At most this many urgent turns in a row while another task waits. A short job takes two: decode and transcribe."""


class Turn:
    """One task's use of the resource."""

    def __init__(self, *, urgent: bool) -> None:
        self.urgent = urgent
        self.came = asyncio.Event()
        self._is_wanted = False
        self._make_way: Callable[[], None] | None = None

    def makes_way_by(self, make_way: Callable[[], None]) -> None:
        """`make_way` is called once if an urgent task waits for the resource, immediately if one already does."""
        self._make_way = make_way
        if self._is_wanted:
            make_way()

    def want(self) -> None:
        """An urgent task waits for the end of this turn."""
        if not self._is_wanted and not self.urgent:
            self._is_wanted = True
            if self._make_way is not None:
                self._make_way()


class Turns:
    """The holder of the resource, and the waiting tasks."""

    def __init__(self) -> None:
        self._holder: Turn | None = None
        self._waiting: list[Turn] = []
        self._reserved = 0
        self._passed = 0
        """Urgent turns in a row while another task waited."""

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Around several urgent turns that belong together: between them the resource is reserved for urgent
        tasks."""
        self._reserved += 1
        self._give()
        try:
            yield
        finally:
            self._reserved -= 1
            self._give()

    @asynccontextmanager
    async def take(self, *, urgent: bool) -> AsyncIterator[Turn]:
        """Waits for the turn, and releases it at the end of the block."""
        turn = Turn(urgent=urgent)
        self._waiting.append(turn)
        self._give()
        try:
            await turn.came.wait()
            yield turn
        finally:
            if turn is self._holder:
                self._holder = None
            else:
                self._waiting.remove(turn)
            self._give()

    def _give(self) -> None:
        if self._holder is None and (turn := self._next()) is not None:
            self._waiting.remove(turn)
            self._holder = turn
            others_wait = any(not waiting.urgent for waiting in self._waiting)
            self._passed = self._passed + 1 if turn.urgent and others_wait else 0
            turn.came.set()
        if self._holder is not None and (self._reserved or any(turn.urgent for turn in self._waiting)):
            self._holder.want()

    def _next(self) -> Turn | None:
        urgent = next((turn for turn in self._waiting if turn.urgent), None)
        other = next((turn for turn in self._waiting if not turn.urgent), None)
        if other is not None and self._passed >= MOST_PASSING:
            return other
        return urgent if urgent is not None or self._reserved else other
