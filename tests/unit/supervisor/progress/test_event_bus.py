"""Who hears what, and that nobody can make the daemon wait."""

import asyncio

from ipc.api_messages import JobView
from ipc.events import JobChanged, QueuePaused
from supervisor.progress.event_bus import BACKLOG, EventBus


def job(job_id: int) -> JobChanged:
    return JobChanged(job=JobView(id=job_id, path="/a.flac", status="waiting", created_at="2026-01-01T00:00:00Z"))


async def test_a_listener_hears_what_comes_after_it_subscribed() -> None:
    bus = EventBus()
    bus.publish(job(1))
    async with bus.subscribe() as events:
        bus.publish(job(2))
        bus.publish(QueuePaused(paused=True))
        bus.close()
        assert [event async for event in events] == [job(2), QueuePaused(paused=True)]


async def test_a_listener_of_one_job_hears_of_no_other() -> None:
    bus = EventBus()
    async with bus.subscribe(job_id=7) as events:
        for job_id in (6, 7, 8):
            bus.publish(job(job_id))
        bus.publish(QueuePaused(paused=True))
        bus.close()
        assert [event async for event in events] == [job(7)]


async def test_a_listener_that_falls_behind_is_let_go_and_knows_it() -> None:
    bus = EventBus()
    async with bus.subscribe() as events:
        for _ in range(BACKLOG + 5):
            bus.publish(job(1))
        async with asyncio.timeout(5):
            heard = [event async for event in events]
        assert 0 < len(heard) <= BACKLOG
