"""One watched folder: look, wait for its files to settle, hand them over, sleep until there is a reason to look.

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
"""Events come in bursts; one look serves them all."""
REST_FACTOR = 5
"""A look is followed by so many times its own length without one, at most the settle time: huge folders cost time."""
MOST_SHOWN = 20
"""Files that are named of those that grow, and of those that were passed over; of all others the number is told."""

Take = Callable[[Path, WatchEntry], Awaitable[object]]
"""Makes a job of a file, or remembers it as a duplicate; raises FileRefused when it is no recording."""


@dataclass(eq=False)
class WatchedFolder:
    """What is known about one folder and its files; `run` is its life."""

    path: Path
    terms: FolderTerms
    take: Take
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
        """Whether it does without file events: as its owner says, else because of its disk."""
        return self._is_on_network if self.entry.polling is None else self.entry.polling

    def use(self, terms: FolderTerms) -> None:
        """Other settings from the next look on; what is known about its files stays."""
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
        """The folder tried from inside the daemon; a disk that does not answer costs a limited time."""
        limit_seconds = min(self.terms.watching.unreachable_seconds, LONGEST_LOOK_SECONDS)
        if self._probing is None or self._probing.done():
            # One that is stuck is asked again: a second thread would get stuck beside it.
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
        """Whether the folder is not what it was at the last look: gone, without its disk, or silent."""
        if self._condition.state != "watching":
            return True
        try:
            facts = await disks().look(self.path, self.path.stat)
        except (OSError, DiskNotAnswering):
            return True
        return self._place is not None and (facts.st_dev, facts.st_ino) != self._place

    async def find(self, is_wanted: Callable[[SeenFile], bool]) -> list[SeenFile]:
        """Those of its files that are wanted, as they are this moment; none where it cannot be looked at in time.

        `is_wanted` is asked in a thread.
        """
        rules, inodes_hold = self.terms.rules, not self._is_on_network
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                if self._finding is not None and not self._finding.done():
                    # One that is stuck is waited for: a second thread would get stuck beside it.
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
        """Reads the folder and hands over what settled; returns when to look again, in monotonic seconds."""
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
            # Task boundary: whatever one look stumbled over, say the database, the folder stays watched.
            log.exception("folder_look_failed", folder=str(self.path))
            return self._next_scan(began)
        settles_at = self._memory.next_look(settle_seconds)
        return self._next_scan(began) if settles_at is None else min(self._next_scan(began), settles_at)

    def _next_scan(self, began: float) -> float:
        watching = self.terms.watching
        return began + (watching.polling_seconds if self.polling else watching.scan_seconds)

    async def _scan(self, events: FolderEvents) -> FolderScan | None:
        """One look in a thread; None when there is no folder to be read, which its condition then says."""
        reading = run_detached(lambda: self._read(events))
        unreachable_seconds = self.terms.watching.unreachable_seconds
        try:
            await asyncio.wait({reading}, timeout=unreachable_seconds)
            if not reading.done():
                self._condition.offline(f"no answer for {unreachable_seconds:g} s")
            # A thread stuck in the kernel cannot be ended; a second one would get stuck beside it.
            scan = await reading
        except OSError as error:
            self._condition.unread(error)
        else:
            if self._condition.seen(scan):
                return scan
        finally:
            reading.cancel()
        events.stop()
        # When it is back, the queue knows what was done; a file that could not be read gets another chance.
        self._memory.forget()
        return None

    def _read(self, events: FolderEvents) -> FolderScan:
        """In a thread: the look itself, and the events that make the next one come sooner."""
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
            # What arrived before the events did would have to wait for the next scan.
            scan = scan_folder(self.path, rules, inodes_hold=not self._is_on_network)
        return scan

    async def _hand_over(self, seen: SeenFile) -> None:
        if seen.path in self.in_hand:
            # Another watched folder is at it, by another name for the same place: see later what came of that.
            self._memory.put_off(seen, self.clock())
            return
        self.in_hand.add(seen.path)
        try:
            if not await self.known([(seen.path, seen.identity)]):
                await self.take(Path(seen.path), self.entry)
        except FileRefused as refusal:
            # Dealt with all the same: only another file in its place is looked at again.
            log.warning("file_refused", path=seen.path, code=refusal.code, error=str(refusal), hint=refusal.hint)
        except Exception as error:  # noqa: BLE001
            # Task boundary: a full queue or disk costs this file one scan's time, and the others nothing.
            log.warning("file_not_taken", path=seen.path, error=f"{type(error).__name__}: {error}")
            self._memory.put_off(seen, self.clock() + self.terms.watching.scan_seconds)
            return
        finally:
            self.in_hand.discard(seen.path)
        self._memory.deal_with(seen)

    def _is_news(self, path: str) -> bool:
        # Called from watchdog's threads. FSEvents may name the folder otherwise than we do: then the name must do.
        name = path.removeprefix(f"{self.path}/") if path.startswith(f"{self.path}/") else path.rpartition("/")[2]
        return self.terms.rules.patterns.want(name) and not self._memory.is_due_anyway(path)


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
