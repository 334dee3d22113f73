"""Events that are lost, late or enough."""

import asyncio
from pathlib import Path

import pytest
from eventually import eventually_async
from fake_intake import DeafObserver, Desk, running, sentinel_taken, settings_for, taken, watching
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


async def test_when_every_event_is_lost_the_scan_still_finds_the_file(inbox: Path, desk: Desk) -> None:
    async with running(watching(desk, settings_for(inbox, scan_seconds=0.3), make_observer=DeafObserver)):
        await sentinel_taken(desk, inbox)
        (inbox / "late.wav").write_bytes(b"late")
        await taken(desk, "late.wav", "sentinel.wav")


async def test_an_event_alone_is_enough_long_before_the_next_scan(inbox: Path, desk: Desk) -> None:
    async with running(watching(desk, settings_for(inbox))):
        await sentinel_taken(desk, inbox)
        part = inbox / "talk.m4a.part"
        part.write_bytes(b"whole")
        part.rename(inbox / "talk.m4a")
        await taken(desk, "sentinel.wav", "talk.m4a")


@pytest.mark.parametrize("killed", ["observer", "emitter"])
async def test_a_dead_observer_is_replaced_and_its_events_come_back(inbox: Path, desk: Desk, killed: str) -> None:
    made: list[BaseObserver] = []

    def make_observer() -> BaseObserver:
        made.append(Observer())
        return made[-1]

    async with running(watching(desk, settings_for(inbox, scan_seconds=0.3), make_observer=make_observer)):
        await sentinel_taken(desk, inbox)
        if killed == "observer":
            made[0].stop()
        else:
            for emitter in made[0].emitters:
                emitter.stop()
        await eventually_async(lambda: len(made) == 2 and made[1].emitters, what="a second observer")
        (inbox / "after.wav").write_bytes(b"after")
        await taken(desk, "after.wav", "sentinel.wav")
    for observer in made:
        await asyncio.to_thread(observer.join, 5)
        assert not observer.is_alive()
