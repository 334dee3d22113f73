"""All checks, run side by side, each with a deadline: a dead disk or a silent daemon does not delay the others.

Runs in: the user's shell.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

from client.daemon import here
from client.daemon.connection import DaemonClient
from client.doctor import (
    daemon,
    disk_and_memory,
    folders,
    installation,
    models,
    sandbox,
    service,
    settings,
    watches,
    workers,
)
from client.doctor.check import Case, Check, along, broken
from client.terminal.errors import NoDaemon, Refusal
from config.engines import resolve_engines
from config.loader import ConfigError, load
from config.places import find_places
from ipc.status_views import Finding, StatusView

ANSWER_SECONDS = 3.0
"""A daemon answers within milliseconds, whatever its workers do."""
CASE_SECONDS = 15.0
"""To find the home, ask the daemon for its status, and read the settings."""

Answer = TypeVar("Answer")
Tell = Callable[[Sequence[str]], None]
"""Gets the names of the checks that still run, each time one returns."""


class Family(Protocol):
    """A module of this room with checks."""

    def checks(self, case: Case, /) -> Iterator[Check]:
        """The ones that this case calls for."""


FAMILIES: tuple[Family, ...] = (
    installation,
    sandbox,
    settings,
    folders,
    disk_and_memory,
    models,
    daemon,
    service,
    watches,
    workers,
)
"""In the order of the page. A new check is a new module here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found."""

    group: str
    findings: tuple[Finding, ...]


def examine(
    environment: Mapping[str, str], tell: Tell, model_check: Sequence[str] = models.MODEL_CHECK
) -> list[Outcome]:
    """All checks, in the order of the page. `environment`: this shell's; a running daemon's own replaces it."""
    try:
        case = _in_thread(lambda: case_of(environment, model_check)).result(CASE_SECONDS)
    except RuntimeError as homeless:
        return [Outcome("Folders", (_no_home(str(homeless)),))]
    except TimeoutError:
        return [Outcome("Folders", (_no_home(f"nothing in it answers within {CASE_SECONDS:g} s"),))]
    return side_by_side([check for family in FAMILIES for check in family.checks(case)], tell)


def case_of(environment: Mapping[str, str], model_check: Sequence[str]) -> Case:
    """Asks the daemon once, and reads the settings. Raises RuntimeError where there is no home at all."""
    # The daemon of a service may have its socket elsewhere than this shell would.
    places = replace(find_places(dict(environment)), runtime=here.socket(environment).parent)
    status, refusal = _contact(places.socket)
    if status is not None:
        environment = _environment_of(status.daemon.pid) or os.environ
    loaded = choice = wrong = None
    try:
        loaded = load(places, environment)
        choice = resolve_engines(loaded.settings, sys.platform)
    except ConfigError as mistakes:
        wrong = mistakes
    return Case(places, environment, status, refusal, loaded, choice, wrong, model_check)


def _contact(socket: Path) -> tuple[StatusView | None, str]:
    try:
        with DaemonClient(socket, ANSWER_SECONDS) as client:
            return client.status(), ""
    except (NoDaemon, Refusal) as absent:
        return None, absent.message
    except ValueError as unreadable:  # pydantic's: another version answered
        return None, f"its answer is not understood: {unreadable}"


def _environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; empty where the system does not tell."""
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


def side_by_side(checks: Iterable[Check], tell: Tell) -> list[Outcome]:
    """All of them, in their order, once the last has returned or its deadline has passed."""
    began = time.monotonic()
    running = {_in_thread(partial(_whole, check)): check for check in checks}
    order, done = list(running), dict[Future[tuple[Finding, ...]], Outcome]()
    while running:
        tell(tuple(dict.fromkeys(check.name for check in running.values())))
        first_due = min(check.deadline_seconds for check in running.values())
        wait(running, timeout=max(0.0, began + first_due - time.monotonic()), return_when=FIRST_COMPLETED)
        passed_seconds = time.monotonic() - began
        for future, check in list(running.items()):
            if future.done() or passed_seconds >= check.deadline_seconds:
                done[future] = Outcome(check.group, _findings(check, future))
                del running[future]
    return [done[future] for future in order]


def _whole(check: Check) -> tuple[Finding, ...]:
    """A generator would do its work where it is read."""
    return tuple(check.run())


def _findings(check: Check, future: Future[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    name = check.name.replace("_", " ")
    unknown = "what cannot be checked may not work either"
    try:
        return future.result(0)
    except TimeoutError:
        what = f"{name}: no answer within {check.deadline_seconds:g} s"
        return (broken(check.name, what, "a disk or the network is gone, or the daemon hangs", "steno logs"),)
    except (NoDaemon, Refusal) as refused:
        return (broken(check.name, refused.message, "the daemon answered a moment ago", refused.hint),)
    except OSError as error:
        what = f"{error.filename or name} cannot be checked: {error.strerror or error}"
        remedy = f"look along its path: {along(Path(error.filename))}" if error.filename else "steno logs"
        return (broken(check.name, what, unknown, remedy),)
    except Exception as fault:  # noqa: BLE001
        # Task boundary: a check that fails in a way we did not foresee is a finding, and the others continue.
        what = f"{name}: the check itself failed: {type(fault).__name__}: {fault}"
        return (broken(check.name, what, unknown, "steno logs"),)


def _in_thread(work: Callable[[], Answer]) -> Future[Answer]:
    """Not an executor's thread: those are joined at exit, and one that is stuck in the kernel never ends."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - carried to the waiting caller, as an executor does
            answer.set_exception(error)

    threading.Thread(target=run, name="check", daemon=True).start()
    return answer


def _no_home(why: str) -> Finding:
    return broken(
        "home",
        f"the home of stenod cannot be used: {why}",
        "there is no place for settings, queue and models",
        "correct STENO_HOME or HOME",
    )
