"""Keeps the machine awake while a job runs, and only then.

Runs in: supervisor.

On both systems a process keeps the assertion while it lives. It exits with the daemon: caffeinate watches the
daemon's pid, and the command of systemd-inhibit reads a pipe that closes with the daemon.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import structlog

from supervisor.system.reload import LiveSettings

log = structlog.get_logger()

LINGER_SECONDS = 20.0
"""Between two jobs in short succession the process is not restarted."""
END_SECONDS = 1.0
"""From SIGTERM to SIGKILL."""


def holder(platform: str, pid: int) -> tuple[str, ...]:
    """The command that keeps this machine from idle sleep for as long as it runs; `platform` is sys.platform."""
    if platform == "darwin":
        # -i: only idle sleep; the display may turn off, and a closed lid still sleeps. -w: it exits with the daemon.
        return ("caffeinate", "-i", "-w", str(pid))
    return (
        "systemd-inhibit",
        "--what=idle:sleep",
        "--who=stenod",
        "--why=a recording is being transcribed",
        "--mode=block",
        "cat",
    )


class SleepInhibitor:
    """Never makes a job wait. If the system has no such program, it does nothing."""

    def __init__(self, settings: LiveSettings, *, linger_seconds: float = LINGER_SECONDS) -> None:
        self._settings = settings
        self._linger_seconds = linger_seconds
        self._jobs_run = False
        self._changed = asyncio.Event()
        self._complained = False

    def note_running(self, jobs_run: bool) -> None:
        """Called with whether any job runs, after each start and end of a job."""
        self._jobs_run = jobs_run
        self._changed.set()

    def wake(self) -> None:
        """The settings changed."""
        self._changed.set()

    async def run(self) -> None:
        """Runs until cancelled; then no process is left."""
        while True:
            await self._until(wanted=True)
            child = await self._start()
            if child is None:
                await self._until(wanted=False)
                continue
            try:
                await self._hold(child)
            finally:
                await _end(child)

    async def _hold(self, child: Process) -> None:
        """Waits until no job has run for a while. If the process exits too early, it is not restarted for these
        jobs."""
        not_wanted = asyncio.create_task(self._until_not_wanted_for_long())
        ended = asyncio.create_task(child.wait())
        try:
            await asyncio.wait((not_wanted, ended), return_when=asyncio.FIRST_COMPLETED)
            if not not_wanted.done():
                self._complain("keep_awake_ended", exit_code=child.returncode)
                await not_wanted
        finally:
            for waiting in (not_wanted, ended):
                waiting.cancel()

    async def _until_not_wanted_for_long(self) -> None:
        while True:
            await self._until(wanted=False)
            try:
                async with asyncio.timeout(self._linger_seconds):
                    await self._until(wanted=True)
            except TimeoutError:
                return

    async def _until(self, *, wanted: bool) -> None:
        while (self._jobs_run and self._settings.current.power.keep_awake) != wanted:
            self._changed.clear()
            await self._changed.wait()

    async def _start(self) -> Process | None:
        argv = holder(sys.platform, os.getpid())
        try:
            return await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
        except (OSError, RuntimeError) as error:  # RuntimeError: on macOS, no thread is left to wait for it
            self._complain("keep_awake_unavailable", program=argv[0], error=str(error))
            return None

    def _complain(self, event: str, **facts: object) -> None:
        """Logs once: a retry would not help on a machine without such a program."""
        if not self._complained:
            self._complained = True
            log.info(event, **facts)


async def _end(child: Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
