"""One watched folder: look, wait for its files to settle, hand them over, sleep until there is a reason to look.

Runs in: supervisor.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, assert_never

import structlog
from watchdog.observers.api import BaseObserver

from config.settings import WatchingSettings
from ipc.status_views import WatchView
from supervisor.file_identity import FileRefused
from supervisor.folder_events import FolderEvents
from supervisor.folder_probe import permission_hint
from supervisor.folder_scan import FolderScan, PassedOver, SeenFile, scan_folder
from supervisor.job import FileIdentity
from supervisor.settling import Sighting, seen_again

log = structlog.get_logger()

AFTER_EVENT_SECONDS = 0.2
"""Events come in bursts; one look serves them all."""
REST_FACTOR = 5
"""A look is followed by so many times its own length without one, at most the settle time: huge folders cost time."""

Take = Callable[[Path], Awaitable[object]]
"""Makes a job of a file, or remembers it as a duplicate; raises FileRefused when it is no recording."""
IsKnown = Callable[[Path, FileIdentity], Awaitable[bool]]
"""Whether this very file was dealt with before; reads no content."""
FolderState = Literal["watching", "offline", "needs_permission"]


class WatchedFolder:
    """What is known about one folder and its files; `run` is its life."""

    def __init__(
        self,
        path: Path,
        recursive: bool,
        permanent: bool,
        *,
        settings: WatchingSettings,
        take: Take,
        is_known: IsKnown,
        excluded: Sequence[Path],
        in_hand: set[str],
        clock: Callable[[], float],
        make_observer: Callable[[], BaseObserver],
    ) -> None:
        """`in_hand` is shared by all folders: a file that two of them see is handed over by one."""
        self.path = path
        self.recursive = recursive
        self.permanent = permanent
        self._settings = settings
        self._take = take
        self._is_known = is_known
        self._excluded = excluded
        self._in_hand = in_hand
        self._clock = clock
        self._make_observer = make_observer
        self._state: FolderState = "watching"
        self._growing: dict[str, Sighting] = {}
        self._dealt_with: dict[str, SeenFile] = {}
        self._passed: frozenset[PassedOver] = frozenset()
        self._scan_took_seconds = 0.0

    @property
    def view(self) -> WatchView:
        """What `steno status` shows."""
        return WatchView(
            path=str(self.path),
            state=self._state,
            recursive=self.recursive,
            growing=tuple(self._growing),
            permanent=self.permanent,
        )

    async def run(self) -> None:
        """Watches until cancelled."""
        loop = asyncio.get_running_loop()
        hint = asyncio.Event()

        def look_soon() -> None:
            if not hint.is_set() and not loop.is_closed():
                loop.call_soon_threadsafe(hint.set)

        events = FolderEvents(self.path, self.recursive, self._is_due_anyway, look_soon, self._make_observer)
        try:
            while True:
                hint.clear()
                due = await self._look(events)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(due - self._clock(), 0.0)):
                        await hint.wait()
                rest = min(REST_FACTOR * self._scan_took_seconds, self._settings.settle_seconds)
                await asyncio.sleep(max(AFTER_EVENT_SECONDS, rest))
        finally:
            events.stop()

    async def _look(self, events: FolderEvents) -> float:
        """Reads the folder and hands over what settled; returns when to look again, in monotonic seconds."""
        began = self._clock()
        next_scan = began + self._settings.scan_seconds
        try:
            scan = await self._scan(events)
            if scan is None:
                return next_scan
            ended = self._clock()
            self._scan_took_seconds = ended - began
            for seen in await self._settled(scan, began, ended):
                await self._hand_over(seen)
        except Exception:
            # Task boundary: whatever one look stumbled over, say the database, the folder stays watched.
            log.exception("folder_look_failed", folder=str(self.path))
            return next_scan
        settling = (sighting.settles_at(self._settings.settle_seconds) for sighting in self._growing.values())
        return min([next_scan, *(at for at in settling if at is not None)])

    async def _scan(self, events: FolderEvents) -> FolderScan | None:
        """One look in a thread; None when the folder cannot be read, which its state then says."""

        def read() -> FolderScan:
            scan = scan_folder(self.path, self.recursive, self._excluded)
            # What arrived before the events did would have to wait for the next scan.
            return scan_folder(self.path, self.recursive, self._excluded) if events.revive(scan.folder) else scan

        reading = asyncio.ensure_future(asyncio.to_thread(read))
        try:
            await asyncio.wait({reading}, timeout=self._settings.unreachable_seconds)
            if not reading.done():
                self._become("offline", f"no answer for {self._settings.unreachable_seconds:g} s")
            # A thread stuck in the kernel cannot be ended; a second one would get stuck beside it.
            scan = await reading
        except OSError as error:
            events.stop()
            # When it is back, the queue knows what was done; a file that could not be read gets another chance.
            self._growing.clear()
            self._dealt_with.clear()
            self._become("needs_permission" if isinstance(error, PermissionError) else "offline", str(error))
            return None
        finally:
            reading.cancel()
        self._become("watching")
        for passed in scan.passed - self._passed:
            log.warning("file_passed_over", path=passed.path, reason=passed.why)
        self._passed = scan.passed
        return scan

    async def _settled(self, scan: FolderScan, began: float, ended: float) -> list[SeenFile]:
        """Brings what is known about the files up to date; those that may be taken, oldest first."""
        here = {seen.path for seen in scan.files}
        for known in (self._growing, self._dealt_with):
            for gone in known.keys() - here:
                del known[gone]
        settled: list[SeenFile] = []
        for seen in scan.files:
            if self._dealt_with.get(seen.path) == seen:
                continue
            before = self._growing.get(seen.path)
            if before is None and await self._is_known(Path(seen.path), seen.identity):
                self._dealt_with[seen.path] = seen
                continue
            sighting = seen_again(before, seen.identity, ended)
            self._growing[seen.path] = sighting
            if sighting.is_settled(began, self._settings.settle_seconds):
                settled.append(seen)
        return settled

    async def _hand_over(self, seen: SeenFile) -> None:
        if seen.path in self._in_hand:
            # Another watched folder, around this one or inside it, is at it: see later what came of that.
            self._growing[seen.path] = Sighting(seen.identity, self._clock())
            return
        self._in_hand.add(seen.path)
        try:
            if not await self._is_known(Path(seen.path), seen.identity):
                await self._take(Path(seen.path))
        except FileRefused as refusal:
            # Dealt with all the same: only another file in its place is looked at again.
            log.warning("file_refused", path=seen.path, code=refusal.code, error=str(refusal), hint=refusal.hint)
        except Exception as error:  # noqa: BLE001
            # Task boundary: a full queue or disk costs this file one scan's time, and the others nothing.
            log.warning("file_not_taken", path=seen.path, error=f"{type(error).__name__}: {error}")
            self._growing[seen.path] = Sighting(seen.identity, self._clock() + self._settings.scan_seconds)
            return
        finally:
            self._in_hand.discard(seen.path)
        self._growing.pop(seen.path, None)
        self._dealt_with[seen.path] = seen

    def _is_due_anyway(self, path: str) -> bool:
        # Called from watchdog's threads. An empty file is not due: its first content is news.
        sighting = self._growing.get(path)
        return sighting is not None and sighting.identity.size > 0

    def _become(self, state: FolderState, error: str = "") -> None:
        """Says so once, not with every scan."""
        if state == self._state:
            return
        self._state = state
        match state:
            case "watching":
                log.info("folder_back", folder=str(self.path))
            case "offline":
                hint = "its recordings are taken when it is there again"
                log.warning("folder_offline", folder=str(self.path), error=error, hint=hint)
            case "needs_permission":
                log.warning(
                    "folder_not_permitted", folder=str(self.path), error=error, hint=permission_hint(sys.platform)
                )
            case _:
                assert_never(state)
