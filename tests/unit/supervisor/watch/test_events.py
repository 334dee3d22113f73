"""A folder that was typed in another letter case: FSEvents is asked for the disk's spelling of it.

Runs in: the test process.
"""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from supervisor.watch import events
from supervisor.watch.events import LONGEST_PATH_BYTES, FolderEvents, spelled_by_the_disk

F_GETPATH = 50
SPELLED = "/Users/me/Übung Memos"


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose F_GETPATH tells another spelling than the one that was opened."""

    def told(descriptor: int, command: int, buffer: bytes) -> bytes:
        assert (command, len(buffer)) == (F_GETPATH, LONGEST_PATH_BYTES)
        assert os.fstat(descriptor)
        return os.fsencode(SPELLED).ljust(len(buffer), b"\0")

    monkeypatch.setattr(events.sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_GETPATH", F_GETPATH, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", told)


class AskedObserver(BaseObserver):
    """Notes what it is asked to watch, and watches nothing."""

    def __init__(self) -> None:
        super().__init__(lambda *given, **more: None)  # type: ignore[arg-type,return-value]
        self.asked: list[str] = []

    def schedule(self, handler: object, path: str, **how: object) -> None:  # type: ignore[override]
        self.asked.append(path)


@pytest.mark.usefixtures("mac")
def test_the_observer_is_given_the_spelling_that_its_events_will_have(tmp_path: Path) -> None:
    observer = AskedObserver()
    watched = FolderEvents(tmp_path, lambda path: True, lambda: None, lambda: observer)
    assert watched.revive((1, 2), recursive=False)
    watched.stop()
    observer.join(5)
    assert observer.asked == [SPELLED]


@pytest.mark.usefixtures("mac")
def test_what_cannot_be_opened_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spelled_by_the_disk(tmp_path) == Path(SPELLED)
    assert spelled_by_the_disk(tmp_path / "gone") == tmp_path / "gone"

    def refuses(*given: object) -> bytes:
        raise OSError(errno.EINVAL, "no such command")

    monkeypatch.setattr(fcntl, "fcntl", refuses)
    assert spelled_by_the_disk(tmp_path) == tmp_path
