"""The machine stays awake while jobs run: with a stand-in for the system's program, which writes down its life.

Runs in: the test process.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from eventually import eventually, eventually_async
from structlog.testing import capture_logs

from config.settings import Settings
from supervisor.system.reload import LiveSettings
from supervisor.system.sleep_inhibitor import SleepInhibitor, holder
from supervisor.system.threads import wait_for_children_without_threads

PROGRAM = holder(sys.platform, 1)[0]
LINGER_SECONDS = 0.1


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: None) -> Path:
    """A file with a line `PID arguments` for each start of the program."""
    program = tmp_path / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$$ $@" >> {tmp_path}/lives\nexec cat\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    lives = tmp_path / "lives"
    lives.touch()
    return lives


def pids(lives: Path) -> list[int]:
    return [int(line.split()[0]) for line in lives.read_text().splitlines()]


def arguments(lives: Path) -> list[str]:
    return [line.split(" ", 1)[1] for line in lives.read_text().splitlines()]


def held(lives: Path) -> bool:
    return any(psutil.pid_exists(pid) for pid in pids(lives))


@asynccontextmanager
async def running(sleep_inhibitor: SleepInhibitor) -> AsyncIterator[None]:
    task = asyncio.create_task(sleep_inhibitor.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_the_commands_are_those_of_the_systems() -> None:
    assert holder("darwin", 123) == ("caffeinate", "-i", "-w", "123")
    name, what, *_, mode, command = holder("linux", 123)
    assert (name, what, mode, command) == ("systemd-inhibit", "--what=idle:sleep", "--mode=block", "cat")


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    yield
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(None)  # the next test gets Python's own again


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no other way to wait for a child")
async def test_it_is_held_where_the_system_allows_no_more_threads(lives: Path, no_more_threads: None) -> None:
    wait_for_children_without_threads()
    sleep_inhibitor = SleepInhibitor(LiveSettings(Settings()), linger_seconds=LINGER_SECONDS)
    async with running(sleep_inhibitor):
        sleep_inhibitor.note_running(True)
        await eventually_async(lambda: held(lives), 5, "held")
        sleep_inhibitor.note_running(False)
        await eventually_async(lambda: not held(lives), 5, "let go")


async def test_a_holder_that_cannot_be_waited_for_costs_the_daemon_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_thread(*argv: str, **how: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_thread)
    sleep_inhibitor = SleepInhibitor(LiveSettings(Settings()), linger_seconds=LINGER_SECONDS)
    with capture_logs() as logged:
        async with running(sleep_inhibitor):
            sleep_inhibitor.note_running(True)
            await eventually_async(lambda: logged, 5, "told")
            sleep_inhibitor.note_running(False)
    assert [line["event"] for line in logged] == ["keep_awake_unavailable"]


async def test_it_is_held_from_the_first_job_to_a_while_after_the_last(lives: Path) -> None:
    sleep_inhibitor = SleepInhibitor(LiveSettings(Settings()), linger_seconds=LINGER_SECONDS)
    async with running(sleep_inhibitor):
        sleep_inhibitor.note_running(True)
        await eventually_async(lambda: held(lives), 5, "held")
        sleep_inhibitor.note_running(False)
        sleep_inhibitor.note_running(True)  # the next job comes at once
        await asyncio.sleep(2 * LINGER_SECONDS)
        assert len(pids(lives)) == 1 and held(lives)
        sleep_inhibitor.note_running(False)
        await eventually_async(lambda: not held(lives), 5, "let go")
        sleep_inhibitor.note_running(True)
        await eventually_async(lambda: len(pids(lives)) == 2, 5, "held again")
    assert not held(lives)
    assert arguments(lives) == [" ".join(holder(sys.platform, os.getpid())[1:])] * 2


async def test_the_setting_lets_go_and_takes_hold_while_a_job_runs(lives: Path) -> None:
    lets_sleep = Settings.model_validate({"power": {"keep_awake": False}})
    live = LiveSettings(lets_sleep)
    sleep_inhibitor = SleepInhibitor(live, linger_seconds=LINGER_SECONDS)
    async with running(sleep_inhibitor):
        sleep_inhibitor.note_running(True)
        await asyncio.sleep(LINGER_SECONDS)
        assert pids(lives) == []
        live.current = Settings()
        sleep_inhibitor.wake()
        await eventually_async(lambda: held(lives), 5, "held")
        live.current = lets_sleep
        sleep_inhibitor.wake()
        await eventually_async(lambda: not held(lives), 5, "let go")


async def test_a_machine_without_the_program_is_told_once_and_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sleep_inhibitor = SleepInhibitor(LiveSettings(Settings()), linger_seconds=0.0)
    with capture_logs() as logged:
        async with running(sleep_inhibitor):
            for _ in range(2):
                sleep_inhibitor.note_running(True)
                await eventually_async(lambda: bool(logged), 5, "told")
                sleep_inhibitor.note_running(False)
                await asyncio.sleep(0.02)
    assert [(line["event"], line["log_level"]) for line in logged] == [("keep_awake_unavailable", "info")]


async def test_a_program_that_gives_up_is_not_started_over_and_over(lives: Path) -> None:
    sleep_inhibitor = SleepInhibitor(LiveSettings(Settings()), linger_seconds=LINGER_SECONDS)
    with capture_logs() as logged:
        async with running(sleep_inhibitor):
            sleep_inhibitor.note_running(True)
            await eventually_async(lambda: held(lives), 5, "held")
            os.kill(pids(lives)[0], signal.SIGKILL)
            await eventually_async(lambda: bool(logged), 5, "seen")
            await asyncio.sleep(0.05)
            assert len(pids(lives)) == 1
    assert logged[0]["event"] == "keep_awake_ended"


def test_it_ends_with_us_however_we_end(lives: Path) -> None:
    script = (
        "import asyncio; from config.settings import Settings\n"
        "from supervisor.system.reload import LiveSettings\n"
        "from supervisor.system.sleep_inhibitor import SleepInhibitor\n"
        "async def main():\n"
        "    holds = SleepInhibitor(LiveSettings(Settings())); holds.note_running(True); await holds.run()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", script]) as us:
        try:
            eventually(lambda: held(lives), 20, "held")
        finally:
            us.kill()
    eventually(lambda: not held(lives), 5, "gone with us")
