"""Urgent tasks go first, the others in the order in which they came, and none waits for ever.

Runs in: the test process.
"""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.system.turns import MOST_PASSING, Turns


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def wait_and_hold(turns: Turns, *, urgent: bool) -> None:
    async with turns.take(urgent=urgent):
        await asyncio.Event().wait()


async def test_urgent_ones_go_first_and_each_kind_in_its_order() -> None:
    turns, order, done = Turns(), list[str](), asyncio.Event()

    async def use(name: str, urgent: bool) -> None:
        async with turns.take(urgent=urgent):
            order.append(name)
            if name == "first":
                await done.wait()

    names = {"first": False, "a": False, "x": True, "b": False, "y": True}
    tasks = [asyncio.create_task(use(name, urgent)) for name, urgent in names.items()]
    await settle()
    done.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "x", "y", "a", "b"]


async def test_who_has_the_turn_hears_once_that_an_urgent_task_waits_and_only_then() -> None:
    turns, heard = Turns(), list[str]()
    async with turns.take(urgent=False) as turn:
        turn.makes_way_by(lambda: heard.append("wanted"))
        other = asyncio.create_task(wait_and_hold(turns, urgent=False))
        await settle()
        assert heard == []
        with turns.reserved(), turns.reserved():
            assert heard == ["wanted"]
        assert heard == ["wanted"]
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    with turns.reserved():
        async with turns.take(urgent=True) as urgent:
            urgent.makes_way_by(lambda: heard.append("never"))
            later = asyncio.create_task(wait_and_hold(turns, urgent=True))
            await settle()
        later.cancel()
        await asyncio.gather(later, return_exceptions=True)
    assert heard == ["wanted"]


async def test_between_two_urgent_turns_that_belong_together_no_other_gets_in() -> None:
    turns, order = Turns(), list[str]()

    async def usual() -> None:
        async with turns.take(urgent=False):
            order.append("usual")

    with turns.reserved():
        waiting = asyncio.create_task(usual())
        for number in range(2):
            async with turns.take(urgent=True):
                order.append(f"urgent {number}")
                await settle()
            await settle()
    await waiting
    assert order == ["urgent 0", "urgent 1", "usual"]


async def test_one_that_gives_up_waiting_leaves_no_trace() -> None:
    turns = Turns()
    async with turns.take(urgent=False):
        waiting = asyncio.create_task(wait_and_hold(turns, urgent=True))
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1.0), turns.take(urgent=False) as turn:
        heard: list[None] = []
        turn.makes_way_by(lambda: heard.append(None))
        assert heard == []


@settings(max_examples=30, deadline=None)
@given(usual=st.integers(1, 4), reserves=st.booleans())
async def test_a_flood_of_urgent_tasks_lets_the_others_through(usual: int, reserves: bool) -> None:
    turns, order = Turns(), list[bool]()

    async def flood() -> None:
        while True:
            async with turns.take(urgent=True):
                order.append(True)
                await asyncio.sleep(0)

    async def use() -> None:
        async with turns.take(urgent=False):
            order.append(False)
            await asyncio.sleep(0)

    async def with_reservation() -> None:
        with turns.reserved():
            await asyncio.Event().wait()

    floods = [asyncio.create_task(flood()) for _ in range(3)]
    if reserves:
        floods.append(asyncio.create_task(with_reservation()))
    await settle()
    began = len(order)
    await asyncio.wait_for(asyncio.gather(*(use() for _ in range(usual))), 5.0)
    assert order[began:].count(False) == usual
    assert order[began:].count(True) <= usual * (MOST_PASSING + 3)
    for task in floods:
        task.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
