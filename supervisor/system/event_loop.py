"""The daemon's event loop, which keeps its signals when it closes, and a watchdog over it.

Runs in: supervisor, the watchdog in a thread.

A hanging loop answers no client, and no other part can fix it. The watchdog counts how many times in a row it woke on
time and found that the loop had made no iteration. A clock alone is not enough: after a machine's sleep, or SIGSTOP,
every deadline has passed. Time in which the process does not run is not counted: a late wake restarts the count.
"""

import asyncio
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from config.places import Places
from config.settings import Settings
from supervisor.system.service_notify import ServiceNotice
from supervisor.system.signals import remember

FROZEN_EXIT = os.EX_SOFTWARE
"""launchd and systemd restart a process that exits with a code other than 0."""
LOOKS = 6
"""After this many checks in a row without progress the loop hangs. Few, because each wakes an idle machine."""
LATE_FACTOR = 2.0
"""A wake after more than this multiple of the pause means that the machine slept."""
REPORT = "daemon-frozen.txt"


class LastingLoop(asyncio.SelectorEventLoop):
    """A closing loop restores the default signal handlers, and the next signal would then end the process."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Replaces the handler: from now on the signal is only remembered. Always True."""
        signal.signal(sig, remember)
        return True


class LoopWatch:
    """The watchdog. `run` is started and cancelled on the loop that it watches."""

    def __init__(
        self, frozen_seconds: float, report: Path, notice: ServiceNotice, leave: Callable[[int], None]
    ) -> None:
        """`report`: the file for every thread's traceback; `leave` ends the process."""
        self._pause_seconds = frozen_seconds / LOOKS
        self._report = report
        self._notice = notice
        self._leave = leave
        self._turns = 0
        self._over = threading.Event()

    async def run(self) -> None:
        """Sends heartbeats of the loop to the watchdog thread and to systemd until cancelled."""
        wanted = self._notice.watchdog_seconds
        every_seconds = min(self._pause_seconds, wanted / 3 if wanted is not None else self._pause_seconds)
        threading.Thread(target=self._watch, name="loop watch", daemon=True).start()
        try:
            while True:
                self._turns += 1
                self._notice.say("WATCHDOG=1")
                await asyncio.sleep(every_seconds)
        finally:
            self._over.set()

    def _watch(self) -> None:
        seen, missed = -1, 0
        while True:
            before = time.monotonic()
            if self._over.wait(self._pause_seconds):
                return
            was_away = time.monotonic() - before > LATE_FACTOR * self._pause_seconds
            turns = self._turns
            missed = 0 if was_away or turns != seen else missed + 1
            seen = turns
            if missed >= LOOKS:
                self._tell()
                self._leave(FROZEN_EXIT)
                return

    def _tell(self) -> None:
        """Does not log: whatever blocks the loop may also hold the log's lock."""
        try:
            self._report.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._report, flags, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(
                    f"the daemon's loop stood still for {self._pause_seconds * LOOKS:g} s; pid {os.getpid()}\n\n"
                )
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError:
            return


def loop_watch(settings: Settings, places: Places, notice: ServiceNotice) -> LoopWatch:
    """The daemon's watchdog."""
    return LoopWatch(settings.deadlines.frozen_seconds, freeze_report(places), notice, os._exit)


def freeze_report(places: Places) -> Path:
    """The watchdog's report; it stays until the user deletes it."""
    return places.logs / "crashes" / REPORT


def last_freeze(report: Path) -> float | None:
    """When the watchdog ended an earlier daemon, in seconds since the epoch; None: never."""
    try:
        return report.stat().st_mtime
    except OSError:
        return None
