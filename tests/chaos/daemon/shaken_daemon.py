"""The daemon, in which events of watched folders get lost and doubled and their source dies now and then.

Runs in: supervisor, started as `python -m chaos.daemon.shaken_daemon` by row 15. CHAOS_EVENTS is the seed,
CHAOS_LOG a file that gets a letter for each thing done to it.
"""

import os
import random
import sys
import threading

LOST, DOUBLED = 0.3, 0.3
BETWEEN_DEATHS_SECONDS = 2.0
LETTERS = {"events": "e", "lost": "l", "doubled": "d", "deaths": "x"}


def shake(seed: str, log: int) -> None:
    """Stands between watchdog and us; the product's own code is as it is."""
    from watchdog.events import FileSystemEvent

    from supervisor.watch.events import FolderEvents

    luck = random.Random(seed)
    whole, begin = FolderEvents.on_any_event, FolderEvents.__init__
    all_events: list[FolderEvents] = []

    def note(what: str) -> None:
        os.write(log, LETTERS[what].encode())

    def on_any_event(self: FolderEvents, event: FileSystemEvent) -> None:
        drawn = luck.random()
        note("lost" if drawn < LOST else "doubled" if drawn < LOST + DOUBLED else "events")
        for _ in range(0 if drawn < LOST else 2 if drawn < LOST + DOUBLED else 1):
            whole(self, event)

    def registered(self: FolderEvents, *told: object, **more: object) -> None:
        begin(self, *told, **more)  # type: ignore[arg-type]
        all_events.append(self)

    FolderEvents.on_any_event = on_any_event  # type: ignore[method-assign]
    FolderEvents.__init__ = registered  # type: ignore[method-assign]

    def kill_observers() -> None:
        while True:
            threading.Event().wait(BETWEEN_DEATHS_SECONDS)
            for events in all_events:
                if (observer := events._observer) is not None and observer.is_alive():
                    observer.stop()
                    note("deaths")

    threading.Thread(target=kill_observers, name="killer of observers", daemon=True).start()


if __name__ == "__main__":
    from supervisor.__main__ import main

    shake(os.environ["CHAOS_EVENTS"], os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    sys.exit(main())
