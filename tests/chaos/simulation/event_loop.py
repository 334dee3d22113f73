"""An event loop whose clock runs only when nobody has anything to do: a day of timers passes in seconds.

Runs in: the chaos run, and the virtual day's process.

The loop is asyncio's own but for its clock and its selector. When no callback is ready and no descriptor is, the time
is at once that of the next timer. Work that the loop gave to a thread (`run_in_executor`, `to_thread`, and every
`concurrent.futures.Future` that is waited for) keeps the clock still until its answer is there: what takes real time
takes no virtual time. So `await asyncio.sleep(…)` returns only when all that could be done before has been done.
"""

import asyncio
import selectors
from asyncio import futures
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

LONGEST_WORK_SECONDS = 60.0
"""Real seconds for a thread's answer, however busy the machine is."""
MOST_TURNS_AT_ONCE = 200_000
"""Turns of the loop without any time passing: more is a loop that eats its own tail."""


class Stuck(Exception):
    """The loop waits for what will never come, or goes round and round."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at second 0."""

    def __init__(self) -> None:
        self.now = 0.0
        """Virtual seconds since the loop was made."""
        self.in_flight = 0
        """Answers that threads owe us."""
        self.turns = 0
        """Of the loop, all together."""
        self.wake_ups = 0
        """How often it slept and was woken by a timer."""
        self.most_timers = 0
        """The longest its list of timers ever was, cancelled ones and all."""
        self._turns_since_sleep = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    @property
    def timers(self) -> int:
        """In its list now, those that were cancelled and not yet swept out among them."""
        return len(self._scheduled)  # type: ignore[attr-defined]

    def oversleep(self, seconds: float) -> None:
        """As if the whole process had been stopped for so long: every timer in that time is late."""
        self.now += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Arguments]], Answer], *args: *Arguments
    ) -> "asyncio.Future[Answer]":
        return self._owed(super().run_in_executor(executor, func, *args))

    def _owed(self, answer: "asyncio.Future[Answer]") -> "asyncio.Future[Answer]":
        self.in_flight += 1
        answer.add_done_callback(self._settled)
        return answer

    def _settled(self, _: object) -> None:
        self.in_flight -= 1

    def _note_turn(self, slept: bool) -> None:
        self.turns += 1
        self.wake_ups += slept
        self._turns_since_sleep = 0 if slept else self._turns_since_sleep + 1
        self.most_timers = max(self.most_timers, self.timers)
        if self._turns_since_sleep > MOST_TURNS_AT_ONCE:
            raise Stuck(f"{MOST_TURNS_AT_ONCE} turns in second {self.now:.3f}")


class _Selector(selectors.SelectSelector):
    """Says that nothing happened in a time that it does not wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        if timeout is not None and timeout <= 0:
            loop._note_turn(slept=False)
            return super().select(0)
        if happened := super().select(0):
            loop._note_turn(slept=False)
            return happened
        if loop.in_flight or timeout is None:
            # Without a timer only another thread or process can go on.
            loop._note_turn(slept=False)
            if happened := super().select(LONGEST_WORK_SECONDS):
                return happened
            raise Stuck(f"second {loop.now:.3f}: nothing came in {LONGEST_WORK_SECONDS:g} s, {loop.in_flight} owed")
        loop._note_turn(slept=True)
        loop.now += timeout
        return []


@contextmanager
def threads_counted() -> Iterator[None]:
    """Whoever waits for another thread's future keeps the virtual clock of its loop still."""
    wrap = futures.wrap_future

    def wrap_future(future: "Future[Any]", *, loop: asyncio.AbstractEventLoop | None = None) -> Any:
        loop = loop or asyncio.get_running_loop()
        answer = wrap(future, loop=loop)
        return loop._owed(answer) if isinstance(loop, VirtualLoop) else answer

    with patch.object(asyncio, "wrap_future", wrap_future):
        yield
