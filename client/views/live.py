"""`steno status --watch`: a page that moves when the daemon does.

Runs in: the user's shell.
"""

import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.styled import Styled
from rich.text import Text

from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon, Refusal
from client.views.status import Room, status_page
from client.views.tables import clock
from ipc.status_views import StatusView

LONGEST_REST_SECONDS = 1.0
"""Without any event the page is drawn this often, for its clocks."""
SHORTEST_REST_SECONDS = 0.4
"""However fast events come, the daemon is not asked more often."""
AIRY_LINES = 20
"""A lower terminal has no place for empty lines."""
FOOTER = "press Ctrl-C to quit"
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGTSTP needs no such care: its handler only notes it."""


class LivePage:
    """Events say when to look, `GET /v1/status` what to show: that is for two threads. This one draws."""

    def __init__(self, daemon: DaemonClient, console: Console) -> None:
        self._daemon = daemon
        self._console = console
        self._moved = threading.Event()
        self._looked = queue.SimpleQueue[None]()
        """One entry wakes the drawing thread. Signal handlers may put, too: it is reentrant."""
        self._is_suspended = False
        self._gone: tuple[str, float] | None = None
        """Why there is nothing to see, and since when (monotonic); None: what is shown holds."""

    def run(self) -> None:
        """Until Ctrl-C. Raises NoDaemon if there is none at the start; one that leaves later is waited for."""
        self._status = self._daemon.status()
        if not self._console.is_terminal:
            raise Refusal(
                "no_terminal",
                "--watch draws on a terminal, and this is none",
                "`steno status` prints the page once; scripts may follow GET /v1/events",
            )
        try:
            self._show()
        except KeyboardInterrupt:
            return

    def _show(self) -> None:
        page = Live(
            self._page(),
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._obeys_signals():
            try:
                with _signals_held():
                    page.start()
                    # Started here, so that they never take a signal which the drawing thread holds.
                    threading.Thread(target=self._look, daemon=True).start()
                    threading.Thread(target=self._listen, daemon=True).start()
                while True:
                    with suppress(queue.Empty):
                        self._looked.get(timeout=LONGEST_REST_SECONDS)
                    if self._is_suspended:
                        self._is_suspended = False
                        with _signals_held():
                            page.stop()
                            signal.raise_signal(signal.SIGSTOP)
                            page.start()
                    page.update(self._page(), refresh=True)
            finally:
                with _signals_held():
                    page.stop()

    def _page(self) -> RenderableType:
        now = datetime.now(UTC)
        if self._gone is None:
            return fitting(self._status, now, self._console)
        why, since = self._gone
        apology = Text(f"{why}; waiting for it for {clock(time.monotonic() - since)}", "yellow")
        return Group(apology, Text(), Styled(fitting(self._status, now, self._console, lines_taken=3), "dim"))

    @contextmanager
    def _obeys_signals(self) -> Iterator[None]:
        """SIGTERM and SIGHUP end the block with SystemExit, and Ctrl-Z takes the page away until the shell continues
        it: the terminal is afterwards as it was before."""

        def leave(number: int, frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        def suspend(number: int, frame: FrameType | None) -> None:
            self._is_suspended = True
            self._looked.put(None)

        handlers = {signal.SIGTERM: leave, signal.SIGHUP: leave, signal.SIGTSTP: suspend}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- threads ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        with DaemonClient(self._daemon.socket) as eyes:
            while True:
                self._moved.wait(LONGEST_REST_SECONDS)
                self._moved.clear()
                try:
                    self._status = eyes.status()
                    self._gone = None
                except (NoDaemon, Refusal) as nothing:
                    self._gone = (str(nothing), time.monotonic() if self._gone is None else self._gone[1])
                self._looked.put(None)
                time.sleep(SHORTEST_REST_SECONDS)

    def _listen(self) -> None:
        with DaemonClient(self._daemon.socket) as ears:
            while True:
                try:
                    with ears.events() as events:
                        for _ in events:
                            self._moved.set()
                except (NoDaemon, Refusal):
                    pass  # the page says so
                time.sleep(LONGEST_REST_SECONDS)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait until the block is left: rich cannot leave a screen that it has only half entered."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- what has a place --------------------------------------------------------------------------------------------


def fitting(status: StatusView, now: datetime, console: Console, lines_taken: int = 0) -> RenderableType:
    """The page, its lists cut so that it never scrolls."""
    height = console.size.height - lines_taken

    def page(room: Room) -> RenderableType:
        return Group(status_page(status, now, room), *([Text()] if room.airy else []), Text(FOOTER, "dim"))

    def fits(room: Room) -> bool:
        return len(console.render_lines(page(room), pad=False)) <= height

    rooms = list(_less_and_less(height))
    return page(next(filter(fits, rooms), rooms[-1]))


def _less_and_less(height: int) -> Iterator[Room]:
    """The queue is cut first, then folders, then the workers' past. No list has more entries than there are lines."""
    yield Room(height, height, height, airy=height >= AIRY_LINES)
    for waiting in (20, 10, 5, 3):
        yield Room(waiting, height, height)
    for watches in (20, 10, 5, 3):
        yield Room(3, watches, height)
    yield Room(3, 3, height, airy=False)
    for watches in (3, 1, 0):
        yield Room(1, watches, height, deaths=False, airy=False)
    for running in (height, 10, 5, 3, 2, 1, 0):
        yield Room(0, 0, running, deaths=False, airy=False)
