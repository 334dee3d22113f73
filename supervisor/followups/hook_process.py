"""One run of a hook: the user's own program, in its own process group, with a time limit.

Runs in: supervisor.

A hook cannot block the daemon. Separate threads start it and wait for it: an exec from a dead network disk never
returns. Its stdin is a file, so it need not read it; its stdout is discarded; the end of its stderr is kept.
"""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from supervisor.followups.hook_command import HookCall
from supervisor.system.deadline import is_set_within
from supervisor.system.threads import run_detached

KEPT_BYTES = 1000
"""How much of the end of its stderr is kept."""
GRACE_SECONDS = 2.0
"""From SIGTERM to SIGKILL."""
REAP_SECONDS = 1.0
"""From SIGKILL to the exit status. A process that takes longer is stuck in the kernel."""
LAST_WORDS_SECONDS = 0.2
"""Its output is in the pipe when it exits; does not wait for a grandchild that keeps the pipe open."""


@dataclass(frozen=True, slots=True)
class HookEnd:
    """The outcome of a hook."""

    why: str | None
    """The error, in words; None: it exited with 0."""
    exit_code: int | None = None
    """Negative: the signal that ended it; None: it never started, or the daemon ended it."""
    said: str = ""
    """The end of its stderr."""
    hint: str | None = None


class LastWords(asyncio.Protocol):
    """Keeps the end of a stream of any length."""

    def __init__(self) -> None:
        self.kept = b""
        self.are_over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.kept = (self.kept + data)[-KEPT_BYTES:]

    def connection_lost(self, error: Exception | None) -> None:
        self.are_over.set()


async def run_hook(call: HookCall, timeout_seconds: float) -> HookEnd:
    """Runs a hook to its end; a cancel ends it with its whole process group. Never raises for a failure of the
    hook."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    words = LastWords()
    transport, _ = await loop.connect_read_pipe(lambda: words, os.fdopen(reading, "rb", buffering=0))
    try:
        return await _run(call, timeout_seconds, writing, words)
    finally:
        transport.close()


async def _run(call: HookCall, timeout_seconds: float, stderr: int, words: LastWords) -> HookEnd:
    began = time.monotonic()
    beginning = run_detached(lambda: _begin(call, stderr))
    try:
        await asyncio.wait({beginning}, timeout=timeout_seconds)
        if not beginning.done():
            return HookEnd(f"{call.argv[0]} did not start within {timeout_seconds:g} s")
        process = beginning.result()
    except OSError as error:
        return _never_began(call, error)
    finally:
        if not beginning.done():
            beginning.add_done_callback(_end_late_beginner)
    ending = run_detached(process.wait)
    try:
        await asyncio.wait({ending}, timeout=max(timeout_seconds - (time.monotonic() - began), 0.0))
        in_time = ending.done()
    finally:
        if not ending.done():
            await _end_group(process.pid, ending)
    await is_set_within(words.are_over, LAST_WORDS_SECONDS)
    said = words.kept.decode(errors="replace").strip()
    if not in_time:
        return HookEnd(f"it took longer than {timeout_seconds:g} s and was stopped", None, said)
    exit_code = ending.result()
    return HookEnd(None if exit_code == 0 else _in_words(exit_code), exit_code, said)


def _begin(call: HookCall, stderr: int) -> "subprocess.Popen[bytes]":
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(call.says)
            stdin.seek(0)
            return subprocess.Popen(
                call.argv,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=_a_home(),
                env=dict(call.environment),
                start_new_session=True,
            )
    finally:
        os.close(stderr)


def _a_home() -> str:
    """The user's home, if it exists: launchd starts a daemon in `/`."""
    with contextlib.suppress(RuntimeError, OSError):
        home = Path.home()
        if home.is_dir() and os.access(home, os.X_OK):
            return str(home)
    return "/"


async def _end_group(pid: int, ending: "asyncio.Future[int]") -> None:
    """Ends the process and its group. A second cancel may cut this short."""
    _signal_group(pid, signal.SIGTERM)
    try:
        await asyncio.wait({ending}, timeout=GRACE_SECONDS)
    finally:
        # Also if it exited in time: its children may ignore SIGTERM.
        _signal_group(pid, signal.SIGKILL)
    await asyncio.wait({ending}, timeout=REAP_SECONDS)


def _end_late_beginner(beginning: "asyncio.Future[subprocess.Popen[bytes]]") -> None:
    if beginning.cancelled() or beginning.exception() is not None:
        return
    process = beginning.result()
    _signal_group(process.pid, signal.SIGKILL)
    run_detached(process.wait)


def _signal_group(pid: int, number: signal.Signals) -> None:
    # macOS returns EPERM for a group with only zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _never_began(call: HookCall, error: OSError) -> HookEnd:
    program = call.argv[0]
    match error.errno:
        case errno.ENOENT:
            hint = f"give its whole path, or put it into one of {call.environment['PATH']}"
            if "/" in program:
                hint = "correct its path in the settings, or the #! in its first line"
            if program == "notify-send":
                hint = "install it (Debian, Ubuntu: apt install libnotify-bin), or set a command of your own"
            return HookEnd(f"there is no program {program}, or none that its first line names", hint=hint)
        case errno.EACCES:
            return HookEnd(f"{program} is not executable for the daemon's user", hint=f"chmod +x {program}")
        case errno.ENOEXEC:
            return HookEnd(f"{program} is not a program", hint="a script needs a first line like #!/bin/sh")
        case _:
            return HookEnd(f"{program} did not start: {error.strerror}")


def _in_words(exit_code: int) -> str:
    if exit_code > 0:
        return f"it exited with {exit_code}"
    try:
        return f"it was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"it was ended by signal {-exit_code}"
