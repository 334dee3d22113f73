"""Whether recordings are decoded behind walls on this machine: a decoder tries it, and is gone.

Runs in: the user's shell.
"""

import subprocess
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from ipc.program import program
from ipc.status_views import Finding

PROBE = (*program("workers.decoder"), "--probe")
PROBE_SECONDS = 8.0
REMEDY = (
    "on Linux a kernel of 5.13 or later with CONFIG_SECCOMP_FILTER and CONFIG_SECURITY_LANDLOCK; in a container, a "
    "profile that lets programs shut themselves in"
)


class Probed(BaseModel):
    """What a decoder says after it has shut itself in."""

    walls: tuple[str, ...]
    lacks: tuple[str, ...]
    open: tuple[str, ...]
    """What it could reach nevertheless: `files`, `network`."""


def sandbox_findings(command: Sequence[str] = PROBE, deadline_seconds: float = PROBE_SECONDS) -> list[Finding]:
    """One finding: how well a decoder is shut in."""
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return [_unknown(f"no answer within {deadline_seconds:g} s")]
    except OSError as error:
        return [_unknown(f"{command[0]}: {error.strerror}")]
    try:
        return [sandbox_finding(Probed.model_validate_json(done.stdout))]
    except ValidationError:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return [_unknown(said[-1] if said else f"exit code {done.returncode}")]


def sandbox_finding(probed: Probed) -> Finding:
    """What is open counts, and not by which wall it is closed."""
    if probed.open:
        return Finding(
            check="sandbox",
            state="warning",
            what=f"decoders of recordings can reach {' and '.join(probed.open)}: {'; '.join(probed.lacks)}",
            why="a recording made to attack FFmpeg would have all the rights of the daemon's user",
            remedy=REMEDY,
        )
    doubt = f"; could not be had: {'; '.join(probed.lacks)}" if probed.lacks else ""
    walls = ", ".join(probed.walls)
    return Finding(check="sandbox", state="ok", what=f"recordings are decoded behind walls: {walls}{doubt}")


def _unknown(why_not: str) -> Finding:
    return Finding(
        check="sandbox",
        state="warning",
        what=f"whether decoders are shut in could not be tried: {why_not}",
        why="a recording made to attack FFmpeg might have all the rights of the daemon's user",
        remedy="steno logs",
    )
