"""One watched folder: scan, wait for its files to settle, submit them, sleep until the next scan.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.observers.api import BaseObserver

from config.watch_entry import WatchEntry
from ipc.status_views import PassedOverView, WatchView
from supervisor.disks.file_identity import FileRefused
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.disks.mounts import is_on_network
from supervisor.system.deadline import is_set_within
from supervisor.system.threads import LONGEST_LOOK_SECONDS, run_detached
from supervisor.watch.access_check import FolderProbe, probe_folder
from supervisor.watch.entries import options_of
from supervisor.watch.events import FolderEvents
from supervisor.watch.folder_rules import FolderTerms
from supervisor.watch.folder_state import FolderCondition
from supervisor.watch.scan import FolderScan, SeenFile, scan_folder
from supervisor.watch.settling import FolderMemory, Known

log = structlog.get_logger()

AFTER_EVENT_SECONDS = 0.2
"""Events come in bursts; one scan handles them all."""
REST_FACTOR = 5
"""The pause after a scan is this multiple of its duration, at most the settle time: huge folders take long."""
MOST_SHOWN = 20
"""How many growing and skipped files are listed by name; the others are only counted."""

SubmitRecording = Callable[[Path, WatchEntry], Awaitable[object]]
"""Submits a file as a job, or remembers it as a duplicate; raises FileRefused if it is not a recording."""


@dataclass(eq=False)
class WatchedFolder:
    """The state of one folder and its files; `run` watches it."""

    path: Path
    terms: FolderTerms
    take: SubmitRecording
    known: Known
    in_hand: set[str]
    """Shared by all folders: a file that two of them see is handed over by one."""
    clock: Callable[[], float]
    make_observer: Callable[[], BaseObserver]

    def __post_init__(self) -> None:
        self._condition = FolderCondition(self.path)
        self._memory = FolderMemory(self.known)
        self._hint = asyncio.Event()
        self._place: tuple[int, int] | None = None
        self._is_on_network = False
        self._scan_took_seconds = 0.0
        self._probing: asyncio.Future[FolderProbe] | None = None
        self._finding: asyncio.Future[list[SeenFile]] | None = None

    @property
    def entry(self) -> WatchEntry:
        return self.terms.entry

    @property
    def polling(self) -> bool:
        """Whether it uses no file events: by its settings, otherwise because of its disk."""
        return self._is_on_network if self.entry.polling is None else self.entry.polling

    def use(self, terms: FolderTerms) -> None:
        """New settings from the next scan on; keeps the state of its files."""
        if terms != self.terms:
            self.terms = terms
            self._hint.set()

    @property
    def view(self) -> WatchView:
        """What `steno status` shows."""
        entry, condition = self.entry, self._condition
        return WatchView(
            path=str(self.path),
            state=condition.state,
            recursive=entry.recursive,
            growing=self._memory.growing(MOST_SHOWN),
            growing_count=self._memory.growing_count,
            permanent=self.terms.permanent,
            note=condition.note,
            polling=self.polling,
            passed=tuple(PassedOverView(path=_shown(one.path), why=one.why) for one in condition.passed_first),
            passed_count=len(condition.passed),
            include=entry.include,
            exclude=entry.exclude,
            done=None if entry.done is None else str(entry.within(entry.done)),
            failed=None if entry.failed is None else str(entry.within(entry.failed)),
            options=options_of(entry),
        )

    async def run(self) -> None:
        """Watches until cancelled."""
        loop = asyncio.get_running_loop()
        hint = self._hint

        def look_soon() -> None:
            if not hint.is_set() and not loop.is_closed():
                loop.call_soon_threadsafe(hint.set)

        events = FolderEvents(self.path, self._is_news, look_soon, self.make_observer)
        try:
            while True:
                hint.clear()
                due = await self._look(events)
                await is_set_within(hint, max(due - self.clock(), 0.0))
                rest = min(REST_FACTOR * self._scan_took_seconds, self.terms.watching.settle_seconds)
                await asyncio.sleep(max(AFTER_EVENT_SECONDS, rest))
        finally:
            events.stop()

    async def probe(self) -> FolderProbe:
        """Probes the folder from inside the daemon, with a deadline for a silent disk."""
        limit_seconds = min(self.terms.watching.unreachable_seconds, LONGEST_LOOK_SECONDS)
        if self._probing is None or self._probing.done():
            # Waits for a hung probe: a second thread would hang beside it.
            written_to = self.terms.written_to
            self._probing = run_detached(lambda: probe_folder(self.path, written_to))
        try:
            found = await asyncio.wait_for(asyncio.shield(self._probing), limit_seconds)
        except TimeoutError:
            return FolderProbe(str(self.path), "timed_out", f"no answer for {limit_seconds:g} s")
        if found.state == "ok" and self._condition.is_unmounted:
            return FolderProbe(str(self.path), "offline", self._condition.note or "")
        return found

    async def is_away(self) -> bool:
        """Whether the folder is no longer what it was at the last scan: gone, without its disk, or silent."""
        if self._condition.state != "watching":
            return True
        try:
            facts = await disks().look(self.path, self.path.stat)
        except (OSError, DiskNotAnswering):
            return True
        return self._place is not None and (facts.st_dev, facts.st_ino) != self._place

    async def find(self, is_wanted: Callable[[SeenFile], bool]) -> list[SeenFile]:
        """Its wanted files at this moment; none if it cannot be read in time.

        `is_wanted` is called in a thread.
        """
        rules, inodes_hold = self.terms.rules, not self._is_on_network
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                if self._finding is not None and not self._finding.done():
                    # Waits for a hung scan: a second thread would hang beside it.
                    await asyncio.wait({self._finding})
                if self._condition.state != "watching":
                    return []
                self._finding = run_detached(
                    lambda: [
                        seen
                        for seen in scan_folder(self.path, rules, inodes_hold=inodes_hold).files
                        if is_wanted(seen)
                    ]
                )
                self._finding.add_done_callback(lambda over: over.cancelled() or over.exception())
                return await asyncio.shield(self._finding)
        except (OSError, TimeoutError):
            return []

    async def _look(self, events: FolderEvents) -> float:
        """Scans the folder and submits settled files; returns when to scan again, in monotonic seconds."""
        began = self.clock()
        try:
            scan = await self._scan(events)
            if scan is None:
                return self._next_scan(began)
            ended = self.clock()
            self._scan_took_seconds = ended - began
            settle_seconds = self.terms.watching.settle_seconds
            for seen in await self._memory.settled(scan.files, began, ended, settle_seconds):
                await self._hand_over(seen)
        except Exception:
            # Task boundary: whatever failed in one scan, for example the database, the folder stays watched.
            log.exception("folder_look_failed", folder=str(self.path))
            return self._next_scan(began)
        settles_at = self._memory.next_look(settle_seconds)
        return self._next_scan(began) if settles_at is None else min(self._next_scan(began), settles_at)

    def _next_scan(self, began: float) -> float:
        watching = self.terms.watching
        return began + (watching.polling_seconds if self.polling else watching.scan_seconds)

    async def _scan(self, events: FolderEvents) -> FolderScan | None:
        """One scan in a thread; None if the folder cannot be read, which its state then says."""
        reading = run_detached(lambda: self._read(events))
        unreachable_seconds = self.terms.watching.unreachable_seconds
        try:
            await asyncio.wait({reading}, timeout=unreachable_seconds)
            if not reading.done():
                self._condition.offline(f"no answer for {unreachable_seconds:g} s")
            # A thread hung in the kernel cannot be ended; a second one would hang beside it.
            scan = await reading
        except OSError as error:
            self._condition.unread(error)
        else:
            if self._condition.seen(scan):
                return scan
        finally:
            reading.cancel()
        events.stop()
        # Once it is back, the queue knows the processed files; an unreadable file is retried.
        self._memory.forget()
        return None

    def _read(self, events: FolderEvents) -> FolderScan:
        """In a thread: the scan itself, and the events that bring the next one forward."""
        rules = self.terms.rules
        scan = scan_folder(self.path, rules, inodes_hold=not self._is_on_network)
        if scan.folder != self._place:
            self._is_on_network = is_on_network(self.path)
            self._place = scan.folder
            if self._is_on_network:
                scan = scan_folder(self.path, rules, inodes_hold=False)
        if self.polling:
            events.stop()
        elif events.revive(scan.folder, rules.recursive):
            # Files that arrived before the events started would wait for the next scan.
            scan = scan_folder(self.path, rules, inodes_hold=not self._is_on_network)
        return scan

    async def _hand_over(self, seen: SeenFile) -> None:
        if seen.path in self.in_hand:
            # Another watched folder, with another name for the same place, is submitting it: check the result later.
            self._memory.put_off(seen, self.clock())
            return
        self.in_hand.add(seen.path)
        try:
            if not await self.known([(seen.path, seen.identity)]):
                await self.take(Path(seen.path), self.entry)
        except FileRefused as refusal:
            # Counts as processed: only another file in its place is checked again.
            log.warning("file_refused", path=seen.path, code=refusal.code, error=str(refusal), hint=refusal.hint)
        except Exception as error:  # noqa: BLE001
            # Task boundary: a full queue or disk delays this file by one scan, and the others not at all.
            log.warning("file_not_taken", path=seen.path, error=f"{type(error).__name__}: {error}")
            self._memory.put_off(seen, self.clock() + self.terms.watching.scan_seconds)
            return
        finally:
            self.in_hand.discard(seen.path)
        self._memory.deal_with(seen)

    def _is_news(self, path: str) -> bool:
        # Called from watchdog's threads. FSEvents may spell the folder differently: then only the file's name counts.
        name = path.removeprefix(f"{self.path}/") if path.startswith(f"{self.path}/") else path.rpartition("/")[2]
        return self.terms.rules.patterns.want(name) and not self._memory.is_due_anyway(path)


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
