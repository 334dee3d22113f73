"""The program that keeps the models, as a child of this command: its lines come out, it ends when we do.

Runs in: the user's shell.
"""

import shlex
import signal
import subprocess
import tempfile
from collections.abc import Generator

from client.terminal.errors import Refusal
from ipc.program import program

PROGRAM = program("workers.model_manager")
"""Its own process: the hub's library and all that reads models stay out of the command."""
ANSWERED = (0, 3)
"""Exit codes with which it has said all there is: done, and something refused."""
BAD_SETTINGS = 78
STOP_SECONDS = 5.0
"""From Ctrl-C to SIGKILL; what has come is on the disk at any moment."""


def model_manager_lines(*words: str) -> Generator[bytes, None, None]:
    """Each line it says, as it says it. Close the generator, and the program ends.

    Raises Refusal if it could not answer.
    """
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            (*PROGRAM, *words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                yield from process.stdout
            code = process.wait()
        finally:
            _end(process)
        if code not in ANSWERED:
            complaints.seek(0)
            raise _why(code, complaints.read().decode(errors="replace").strip())


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    try:
        # A terminal's Ctrl-C has reached it already; a second one does no harm.
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _why(code: int, complaints: str) -> Refusal:
    if code == BAD_SETTINGS:
        return Refusal("bad_config", complaints.removeprefix("stenod: "), "correct it there")
    last = complaints.splitlines()[-1] if complaints else f"exit code {code}"
    return Refusal(
        "shelf_failed", f"the models cannot be looked at: {last}", f"`{shlex.join((*PROGRAM, 'list'))}` shows more"
    )
