"""The daemon as it answers, or why it does not: alive, silent, stopped, dead, or never started.

Runs in: the user's shell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten

import psutil

from client.daemon import here
from client.daemon.connection import why_hidden
from client.doctor.check import Case, Check, broken, ok, warning
from client.doctor.folders import is_stale
from client.doctor.service import is_installed
from client.machine.log_file import LogLines
from client.machine.log_lines import facts_of, line_in_words
from client.terminal.wording import counted
from client.views.tables import clock
from config.places import Places
from ipc.status_views import Finding, StatusView

LINES_SEARCHED = 200
"""How far back in the log the reason of an end is looked for."""
LONGEST_WORDS = 160
"""Letters of a line of the log; `steno logs` has the rest."""
GRAVE = ("error", "critical")


def checks(case: Case) -> Iterator[Check]:
    def look() -> Iterator[Finding]:
        if case.status is not None:
            return status_findings(case.status, here.version())
        return absence_findings(absence_at(case.places, case.refusal), is_installed())

    yield Check("Daemon", "daemon", look)


def status_findings(status: StatusView, version: str) -> Iterator[Finding]:
    """The daemon itself and its queue. `version`: this command's."""
    daemon, queue = status.daemon, status.queue
    what = f"stenod {daemon.version}, pid {daemon.pid}, up {clock(daemon.uptime_seconds)}"
    if daemon.version == version:
        yield ok("daemon", what)
    else:
        why = "the daemon runs the code it was started with, not the one that is installed now"
        yield warning("daemon", f"{what}; this command is version {version}", why, "steno service restart")
    if queue.paused:
        what = f"the queue is paused, {counted(queue.waiting, 'job')} waiting"
        yield warning("queue", what, "no job starts", "steno resume")
    if queue.failed:
        why = "these recordings have no transcript; `steno show ID` tells why"
        yield warning("failed_jobs", f"{counted(queue.failed, 'job')} failed", why, "steno jobs --status failed")
    if not (queue.paused or queue.failed):
        yield ok("queue", f"{queue.waiting} waiting, {queue.running} running, none failed")


# --- no daemon ---------------------------------------------------------------------------------------------------


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


def absence_at(places: Places, refusal: str) -> Absence:
    """Looks around where no daemon answers. `refusal`: what the connection met."""
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
    """The line that tells most, in words, and whether the log ends as it should."""
    try:
        lines = LogLines(places.log_file).last(LINES_SEARCHED)
    except OSError:
        return None, False
    if not lines:
        return None, False
    # Only of the last run: an older fault explains nothing.
    began = max((at for at, line in enumerate(lines) if facts_of(line).get("event") == "database_opened"), default=0)
    grave = [line for line in lines[began:] if facts_of(line).get("level") in GRAVE]
    told = line_in_words((grave or lines)[-1]).plain.partition("\n")[0]
    return shorten(told, LONGEST_WORDS, placeholder=" …"), facts_of(lines[-1]).get("event") == "daemon_stopped"


def absence_findings(absence: Absence, has_service: bool) -> Iterator[Finding]:
    """Why no daemon answers, and what to do. `has_service`: a service manager is told to keep it running."""
    start = (
        "steno service restart"
        if has_service
        else "`steno serve` starts it here, `steno service install` permanently"
    )
    said = f"; the log ends: {absence.last_words}" if absence.last_words else ""
    if absence.hidden is not None:
        what = f"{absence.socket} cannot be reached: {absence.hidden}"
        why = "no command reaches the daemon, whether it is running or not"
        yield broken("daemon", what, why, "fix the folders that are broken above, then run `steno doctor` again")
        return
    if absence.is_alive:
        what = f"the daemon is running (pid {absence.last_pid}) but does not answer: {absence.refusal}{said}"
        remedy = f"it may still be starting; otherwise kill {absence.last_pid}, then {start}"
        yield broken("daemon", what, "no recording is accepted, and running jobs cannot be seen", remedy)
        return
    if absence.is_stale:
        what = f"{absence.socket} is left over from a daemon that crashed: no process listens"
        why = "every command that asks the daemon fails until one listens there"
        yield broken("stale_socket", what, why, f"{start}; the new daemon removes the old socket")
    if absence.last_pid is None:
        what = "The daemon is not running and has never been started."
    elif absence.ended_in_order:
        what = f"The daemon is not running: the last one (pid {absence.last_pid}) was stopped normally."
    else:
        what = f"the daemon is dead: pid {absence.last_pid} ended without a message in its log{said}"
    why = "no recording is accepted until it runs; then unfinished jobs continue where they stopped"
    yield broken("daemon", what, why, start)
