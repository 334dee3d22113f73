"""The models on this machine, examined by the workers' own program: it knows what they would load, and their hashes.

Runs in: the user's shell. Stands alone: one file a check.
"""

import subprocess
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from ipc.program import program
from ipc.status_views import Finding

MODEL_CHECK = (*program("workers.model_manager"), "check")
"""Prints one Finding a line, as JSON."""
CHECK_SECONDS = 120.0
"""Gigabytes are read and hashed; a slow disk takes its time."""


def model_findings(
    environment: Mapping[str, str], command: Sequence[str] = MODEL_CHECK, deadline_seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """What the program says; a warning where it says nothing that can be understood."""
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [_unknown(f"that took longer than {deadline_seconds:g} s", "look again when the disk rests")]
    except OSError as error:
        return [_unknown(f"{command[0]}: {error.strerror}", "steno models list")]
    try:
        found = [Finding.model_validate_json(line) for line in done.stdout.splitlines() if line.strip()]
    except ValidationError:
        first = done.stdout.decode(errors="replace").strip().partition("\n")[0][:200]
        return [_unknown(f"the answer is not understood: {first}", "steno models list")]
    if not found:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return [_unknown(said[-1] if said else f"exit code {done.returncode}", "steno models list")]
    return found


def _unknown(why_not: str, remedy: str) -> Finding:
    return Finding(
        check="models",
        state="warning",
        what=f"the models could not be examined: {why_not}",
        why="a missing or damaged model would only show with the first job",
        remedy=remedy,
    )
