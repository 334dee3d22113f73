"""How a worker ended unexpectedly: exit status → a value and a description, and a crash report for its job.

Runs in: supervisor.

A crash report contains the native traceback. Each is a separate file beside the logs.
"""

import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from config.ownership import make_private, open_own
from ipc.status_views import LastDeath
from ipc.vocabulary import Phase
from supervisor.system.clock import iso_time

Cause = Literal["crashed", "timeout"]

TRACEBACK_BYTES = 16_384
"""How much of a crash file is read: enough for faulthandler's hundred frames of the relevant threads."""
WATCHDOG_MARK = "Timeout ("
"""How faulthandler's output begins when the worker's own watchdog ended it."""

SIGNAL_WORDS = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted by a library",
    signal.SIGBUS: "bus error",
    signal.SIGILL: "illegal instruction",
    signal.SIGFPE: "arithmetic fault",
    signal.SIGKILL: "killed from outside, by a user or for lack of memory",
    signal.SIGTERM: "terminated from outside",
}
PHASE_WORDS: dict[Phase, str] = {
    "loading": "while loading the model",
    "downloading": "while downloading the model",
    "decoding": "while decoding the recording",
    "speech": "while looking for speech",
    "language": "while finding the language",
    "transcribing": "while transcribing",
    "aligning": "while aligning",
}


@dataclass(frozen=True, slots=True)
class Death:
    """One death of a worker, and what it was doing."""

    signal: str | None
    """The signal's name, for example `SIGSEGV`; None when the process exited without one."""
    exit_code: int | None
    """Minus the signal number where a signal ended it; None when it never started."""
    phase: Phase | None
    """None: it was idle, or had not started any work."""
    cause: Cause
    """`timeout`: it hung, and was killed for that."""
    reason: str
    """A sentence for the user."""
    traceback: str
    """faulthandler's output; empty for SIGKILL, which cannot be handled."""
    at: float
    """Seconds since the epoch."""
    during_job: int | None
    """The job whose request was in progress; None: there was none, or the final reply had been sent."""
    written_off: bool = False
    """True: it hangs in the kernel and cannot be killed; no job is blamed for this death."""

    @property
    def facts(self) -> dict[str, object]:
        """For the log."""
        return {
            "signal": self.signal,
            "exit_code": self.exit_code,
            "phase": self.phase,
            "cause": self.cause,
            "reason": self.reason,
            "during_job": self.during_job,
        }

    @property
    def view(self) -> LastDeath:
        return LastDeath(
            signal=self.signal,
            exit_code=self.exit_code,
            reason=self.reason,
            during_job=self.during_job,
            at=datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
        )


@dataclass(frozen=True, slots=True)
class KillReason:
    """Why the supervisor killed a worker."""

    cause: Cause
    words: str
    """`no progress for 120 s`."""


def describe_death(
    exit_status: int | None,
    phase: Phase | None,
    verdict: KillReason | None,
    traceback: str,
    *,
    at: float,
    during_job: int | None,
    written_off: bool = False,
) -> Death:
    """`exit_status`: the exit code, or minus the signal, as multiprocessing returns it; None: unknown."""
    signalled = exit_status is not None and exit_status < 0
    if verdict is None and traceback.startswith(WATCHDOG_MARK):
        verdict = KillReason("timeout", "ended by its own watchdog: no progress")
    words = verdict.words if verdict is not None else _words(exit_status)
    if written_off:
        words += ", and could not be killed: it hangs in the kernel"
    return Death(
        signal=_signal_name(-exit_status) if exit_status is not None and signalled else None,
        exit_code=exit_status,
        phase=phase,
        cause=verdict.cause if verdict is not None else "crashed",
        reason=f"{words} {PHASE_WORDS[phase]}" if phase is not None else words,
        traceback=traceback,
        at=at,
        during_job=during_job,
        written_off=written_off,
    )


def read_traceback(crash_file: Path) -> str:
    """The beginning of the crash file, which contains the reason; empty when there is nothing to read."""
    try:
        with crash_file.open("rb") as content:
            return content.read(TRACEBACK_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _words(exit_status: int | None) -> str:
    if exit_status is None:
        return "ended for an unknown reason"
    if exit_status < 0:
        name = _signal_name(-exit_status)
        words = SIGNAL_WORDS.get(-exit_status)  # type: ignore[call-overload]  # a plain number looks up its enum
        return f"{words} ({name})" if words else f"ended by {name}"
    return "exited without a request to stop" if exit_status == 0 else f"exited with code {exit_status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals have no name of their own.
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class CrashReports:
    """One file for each quarantined job; a newer crash replaces it."""

    folder: Path

    def write(self, job_id: int, death: Death) -> Path:
        """Returns the file's path. It contains no transcript text: faulthandler prints code, not data."""
        make_private(self.folder)
        path = self.folder / f"job-{job_id}.txt"
        lines = [
            f"job {job_id}, {iso_time(death.at)}",
            f"{death.reason} (signal {death.signal}, exit code {death.exit_code}, phase {death.phase})",
            "",
            death.traceback or "no traceback was left",
        ]
        # A new file each time: an existing file, and above all a symbolic link, must not be written to.
        path.unlink(missing_ok=True)
        with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as report:
            report.write("\n".join(lines) + "\n")
        return path
