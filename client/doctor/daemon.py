"""The daemon as it answers, or why it does not: alive, silent, stopped, dead, or never started.

Runs in: the user's shell.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten

import psutil

from client.daemon.connection import DaemonClient, why_hidden
from client.doctor.folders import is_stale
from client.machine.log_file import LogStory
from client.machine.log_lines import facts_of, line_in_words
from client.terminal.errors import NoDaemon, Refusal
from client.views.tables import clock
from config.places import Places
from ipc.status_views import Finding, StatusView

ANSWER_SECONDS = 3.0
"""A daemon answers within milliseconds, whatever its workers do."""
LINES_SEARCHED = 200
"""So far back in the log may the reason of an end stand."""
LONGEST_WORDS = 160
"""Letters of a line of the log; `steno logs` has the rest."""
GRAVE = ("error", "critical")


@dataclass(frozen=True, slots=True)
class Absence:
    """What is left of a daemon that does not answer."""

    socket: str
    refusal: str
    """What the connection met."""
    hidden: str | None
    """Why it cannot be seen whether there is a socket; None: it can."""
    is_stale: bool
    """A socket lies there and no process listens."""
    last_pid: int | None
    """Of the daemon that ran here last; None: none ever did."""
    is_alive: bool
    """Whether that process still is one of ours."""
    ended_in_order: bool
    last_words: str | None
    """The last line of the log that tells of a fault, else the last of all."""


@dataclass(frozen=True, slots=True)
class Contact:
    """The daemon's answer, or what is left of it; one of the two is None."""

    status: StatusView | None
    absence: Absence | None
    environment: Mapping[str, str]
    """The daemon's own where the system shows it, else this shell's: the same names may say other things."""


def meet(places: Places) -> Contact:
    """Asks once, and looks around where no daemon answers."""
    try:
        with DaemonClient(places.socket, ANSWER_SECONDS) as daemon:
            status = daemon.status()
    except (NoDaemon, Refusal) as absent:
        return Contact(None, _absence(places, absent.message), os.environ)
    except ValueError as unreadable:  # pydantic's, of an answer that another version gave
        return Contact(None, _absence(places, f"its answer is not understood: {unreadable}"), os.environ)
    return Contact(status, None, environment_of(status.daemon.pid) or os.environ)


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; empty where the system does not tell."""
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


def _absence(places: Places, refusal: str) -> Absence:
    pid = _last_pid(places)
    words, in_order = _last_words(places)
    return Absence(
        socket=str(places.socket),
        refusal=refusal,
        hidden=why_hidden(places.socket),
        is_stale=is_stale(places.socket),
        last_pid=pid,
        is_alive=pid is not None and _is_supervisor(pid),
        ended_in_order=in_order,
        last_words=words,
    )


def _last_pid(places: Places) -> int | None:
    # Only read: to try the lock would, for a moment, keep a daemon from starting.
    try:
        text = places.lock.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def _is_supervisor(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return "supervisor" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _last_words(places: Places) -> tuple[str | None, bool]:
    """The line that tells most, in words, and whether the story ends as it should."""
    try:
        lines = LogStory(places.log_file).last(LINES_SEARCHED)
    except OSError:
        return None, False
    if not lines:
        return None, False
    # Only what the last life said: an old fault explains nothing.
    began = max((at for at, line in enumerate(lines) if facts_of(line).get("event") == "database_opened"), default=0)
    grave = [line for line in lines[began:] if facts_of(line).get("level") in GRAVE]
    told = line_in_words((grave or lines)[-1]).plain.partition("\n")[0]
    return shorten(told, LONGEST_WORDS, placeholder=" …"), facts_of(lines[-1]).get("event") == "daemon_stopped"


def absence_findings(absence: Absence, has_service: bool) -> Iterator[Finding]:
    """Why no daemon answers, and what to do. `has_service`: a service manager is told to keep it running."""
    start = (
        "steno service restart" if has_service else "`steno serve` starts it here, `steno service install` for good"
    )
    said = f"; the log ends: {absence.last_words}" if absence.last_words else ""
    if absence.hidden is not None:
        yield Finding(
            check="daemon",
            state="broken",
            what=f"{absence.socket} cannot be reached: {absence.hidden}",
            why="no command gets through to the daemon, whether one runs or not",
            remedy="fix the folders that are broken above, then `steno doctor` again",
        )
        return
    if absence.is_alive:
        yield Finding(
            check="daemon",
            state="broken",
            what=f"the daemon lives (pid {absence.last_pid}) but does not answer: {absence.refusal}{said}",
            why="no recording is taken, and what runs cannot be seen",
            remedy=f"it may just be starting; else kill {absence.last_pid}, then {start}",
        )
        return
    if absence.is_stale:
        yield Finding(
            check="stale_socket",
            state="broken",
            what=f"{absence.socket} is left over from a daemon that died: no process listens",
            why="every command that asks the daemon fails until one listens there",
            remedy=f"{start}; the new daemon takes the old socket away",
        )
    if absence.last_pid is None:
        what = "no daemon runs, and none ever ran here"
    elif absence.ended_in_order:
        what = f"no daemon runs: the last one (pid {absence.last_pid}) was stopped in order"
    else:
        what = f"the daemon is dead: pid {absence.last_pid} ended without a message in its log{said}"
    yield Finding(
        check="daemon",
        state="broken",
        what=what,
        why="no recording is taken until it runs; unfinished jobs go on then with what they had",
        remedy=start,
    )


def status_findings(status: StatusView, version: str) -> Iterator[Finding]:
    """The daemon itself and its queue. `version`: this command's."""
    daemon, queue = status.daemon, status.queue
    what = f"stenod {daemon.version}, pid {daemon.pid}, up {clock(daemon.uptime_seconds)}"
    if daemon.version == version:
        yield Finding(check="daemon", state="ok", what=what)
    else:
        yield Finding(
            check="daemon",
            state="warning",
            what=f"{what}; this command is of version {version}",
            why="the daemon runs the code it was started with, not the one that is installed now",
            remedy="steno service restart",
        )
    if queue.paused:
        yield Finding(
            check="queue",
            state="warning",
            what=f"the queue is paused, {queue.waiting} jobs wait",
            why="no job is started",
            remedy="steno resume",
        )
    if queue.failed:
        yield Finding(
            check="failed_jobs",
            state="warning",
            what=f"{queue.failed} job{'s' * (queue.failed != 1)} failed",
            why="these recordings have no transcript; `steno show ID` tells why",
            remedy="steno jobs --status failed",
        )
    if not (queue.paused or queue.failed):
        yield Finding(
            check="queue", state="ok", what=f"{queue.waiting} waiting, {queue.running} running, none failed"
        )
