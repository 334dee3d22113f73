"""`steno status --watch`: a page that moves when the daemon does.

Runs in: the user's shell.
"""

import threading
import time
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from client.connection import Daemon
from client.refusals import NoDaemon
from client.status_page import status_page

LONGEST_REST_SECONDS = 1.0
"""Without any event the page is drawn this often, for its clocks."""
SHORTEST_REST_SECONDS = 0.2
"""However fast events come, the page is not drawn more often."""


class LivePage:
    """Events say when to look, `GET /v1/status` says what to show."""

    def __init__(self, daemon: Daemon, console: Console) -> None:
        self._daemon = daemon
        self._console = console
        self._moved = threading.Event()

    def run(self) -> None:
        """Until Ctrl-C. Raises NoDaemon if there is none at the start; one that leaves later is waited for."""
        page = self._page()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            with Live(page, console=self._console, screen=self._console.is_terminal, auto_refresh=False) as live:
                while True:
                    self._moved.wait(LONGEST_REST_SECONDS)
                    self._moved.clear()
                    live.update(self._page_or_apology(page), refresh=True)
                    time.sleep(SHORTEST_REST_SECONDS)
        except KeyboardInterrupt:
            return

    def _page(self) -> RenderableType:
        return status_page(self._daemon.status(), datetime.now(UTC))

    def _page_or_apology(self, last: RenderableType) -> RenderableType:
        try:
            return self._page()
        except NoDaemon as gone:
            return Group(Text(f"{gone.message}; waiting for it", "yellow"))

    def _listen(self) -> None:
        with Daemon(self._daemon.socket) as ears:
            while True:
                try:
                    with ears.events() as events:
                        for _ in events:
                            self._moved.set()
                except NoDaemon:
                    pass  # the page says so
                time.sleep(LONGEST_REST_SECONDS)
