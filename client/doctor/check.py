"""Looks that run side by side, each with a deadline: a dead disk or a silent daemon holds up no other.

Runs in: the user's shell.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TypeVar

from client.terminal.errors import NoDaemon, Refusal
from ipc.status_views import Finding

LOOK_SECONDS = 10.0
"""For what takes milliseconds on a healthy disk."""

Answer = TypeVar("Answer")
Tell = Callable[[Sequence[str]], None]
"""Hears the names of the looks that are still out, each time one comes back."""


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at."""

    group: str
    """The heading it stands under."""
    check: str
    """What its finding is called if it never comes back."""
    at: Callable[[], Iterable[Finding]]
    deadline_seconds: float = LOOK_SECONDS

    def whole(self) -> tuple[Finding, ...]:
        """All of it, now: a generator would do its work where it is read."""
        return tuple(self.at())


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look."""

    group: str
    findings: tuple[Finding, ...]


def answer_within(work: Callable[[], Answer], deadline_seconds: float) -> Answer:
    """What `work` returns or raises. Raises TimeoutError."""
    return _in_thread(work).result(deadline_seconds)


def side_by_side(looks: Iterable[Look], tell: Tell) -> list[Looked]:
    """All of them, in their order, when the last has come back or its time is up."""
    began = time.monotonic()
    out = {_in_thread(look.whole): look for look in looks}
    order, back = list(out), dict[Future[tuple[Finding, ...]], Looked]()
    while out:
        tell(tuple(dict.fromkeys(look.check for look in out.values())))
        first_due = min(look.deadline_seconds for look in out.values())
        wait(out, timeout=max(0.0, began + first_due - time.monotonic()), return_when=FIRST_COMPLETED)
        passed_seconds = time.monotonic() - began
        for future, look in list(out.items()):
            if future.done() or passed_seconds >= look.deadline_seconds:
                back[future] = Looked(look.group, _findings(look, future))
                del out[future]
    return [back[future] for future in order]


def _findings(look: Look, future: Future[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    try:
        return future.result(0)
    except TimeoutError:
        what = f"{look.check.replace('_', ' ')}: no answer within {look.deadline_seconds:g} s"
        why = "a disk or the network is gone, or the daemon hangs"
        return (Finding(check=look.check, state="broken", what=what, why=why, remedy="steno logs"),)
    except (NoDaemon, Refusal) as refused:
        why = "the daemon was there a moment ago"
        return (Finding(check=look.check, state="broken", what=refused.message, why=why, remedy=refused.hint),)
    except OSError as error:
        what = f"{error.filename or look.check.replace('_', ' ')} cannot be looked at: {error.strerror or error}"
        why = "what cannot be looked at may not work either"
        remedy = f"look along its path: {along(Path(error.filename))}" if error.filename else "steno logs"
        return (Finding(check=look.check, state="broken", what=what, why=why, remedy=remedy),)
    except Exception as fault:  # noqa: BLE001
        # Task boundary: a check that fails in a way we did not foresee is a finding, and the others continue.
        what = f"{look.check.replace('_', ' ')}: could not be examined: {type(fault).__name__}: {fault}"
        why = "what cannot be looked at may not work either"
        return (Finding(check=look.check, state="broken", what=what, why=why, remedy="steno logs"),)


def along(place: Path) -> str:
    """The command that shows who may enter the folder, and whose the thing in it is."""
    return f"ls -ld {quote(str(place.parent))} {quote(str(place))}"


def _in_thread(work: Callable[[], Answer]) -> Future[Answer]:
    """Not an executor's thread: those are joined at exit, and one that is stuck in the kernel never ends."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - carried to the waiting caller, as an executor does
            answer.set_exception(error)

    threading.Thread(target=run, name="look", daemon=True).start()
    return answer
