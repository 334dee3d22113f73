"""Runs the outbox's follow-ups of one kind: the one due first comes first, with limited concurrency.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from supervisor.jobs.outcomes import LOOK_AGAIN_SECONDS
from supervisor.store.outbox import FollowUp, Kind, Outbox
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.system.deadline import is_set_within

log = structlog.get_logger()

LONGEST_SLEEP_SECONDS = 3600.0
"""Due times are wall-clock times, which may be set back."""

RetryAfter = tuple[int, float]
"""How often it has failed, and the seconds until the retry."""
RunFollowUp = Callable[[FollowUp], Awaitable[RetryAfter | None]]
"""Runs a follow-up; None: it is finished, whatever the outcome."""


@dataclass(eq=False)
class OutboxRunner:
    """Sleeps until a follow-up is due or new; outcomes that the database cannot store now are stored later."""

    kind: Kind
    at_once: int
    rows: Outbox
    work: RunFollowUp
    one_less: Callable[[], None]
    """Called after each follow-up: others, of whatever kind, may have waited for it."""

    def __post_init__(self) -> None:
        self._woken = asyncio.Event()
        self._in_hand: set[int] = set()

    def wake(self) -> None:
        """Wakes it: there may be a new follow-up, or one may be due earlier."""
        self._woken.set()

    async def run(self) -> None:
        """Runs until cancelled; follow-ups in progress are left for the next start. Errors of a follow-up do not
        propagate."""
        free = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await free.acquire()
                follow_up = await self._next()
                self._in_hand.add(follow_up.id)
                task = tasks.create_task(
                    self._see_through(follow_up), name=f"{follow_up.kind} of job {follow_up.job_id}"
                )
                task.add_done_callback(partial(self._is_over, follow_up, free))

    def _is_over(self, follow_up: FollowUp, free: asyncio.Semaphore, _: asyncio.Task[None]) -> None:
        self._in_hand.discard(follow_up.id)
        free.release()
        self.one_less()

    async def _next(self) -> FollowUp:
        while True:
            self._woken.clear()
            wait_seconds: float | None = None
            try:
                follow_up = await self.rows.first(self.kind, skip=frozenset(self._in_hand))
                if follow_up is not None:
                    wait_seconds = min(follow_up.due_at - self.rows.now(), LONGEST_SLEEP_SECONDS)
                    if wait_seconds <= 0:
                        return follow_up
            except JobQueueBroken as broken:
                log.warning("errands_put_off", code=broken.code, error=broken.message)
                wait_seconds = LOOK_AGAIN_SECONDS
            await is_set_within(self._woken, wait_seconds)

    async def _see_through(self, follow_up: FollowUp) -> None:
        again: RetryAfter | None
        try:
            again = await self.work(follow_up)
        except JobQueueBroken as broken:
            log.warning("errand_put_off", job=follow_up.job_id, code=broken.code, error=broken.message)
            again = (follow_up.tries, LOOK_AGAIN_SECONDS)
        except Exception:
            # The task boundary: a bug costs this follow-up, never the daemon.
            log.exception(
                "errand_hit_a_bug", job=follow_up.job_id, follow_up=follow_up.kind, event_kind=follow_up.event
            )
            again = None
        while True:
            try:
                if again is None:
                    await self.rows.strike(follow_up)
                else:
                    tries, seconds = again
                    await self.rows.put_off(follow_up, tries, self.rows.now() + seconds)
                return
            except JobQueueBroken as broken:
                # In progress until it is stored: a hook must not run repeatedly because a disk is full.
                log.error("errand_not_noted_down", job=follow_up.job_id, code=broken.code, error=broken.message)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
