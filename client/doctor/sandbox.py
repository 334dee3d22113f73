"""Whether recordings are decoded in a sandbox on this machine: a decoder tries it, and ends.

Runs in: the user's shell. Stands alone: one file a check.
"""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from client.doctor.check import Case, Check, NoAnswer, ask, ok, warning
from ipc.program import program
from ipc.status_views import Finding

PROBE = (*program("workers.decoder"), "--probe")
PROBE_SECONDS = 8.0
REMEDY = (
    "on Linux a kernel of 5.13 or later with CONFIG_SECCOMP_FILTER and CONFIG_SECURITY_LANDLOCK; in a container, a "
    "profile that lets programs sandbox themselves"
)


class Probed(BaseModel):
    """What a decoder says after it has sandboxed itself."""

    walls: tuple[str, ...]
    lacks: tuple[str, ...]
    open: tuple[str, ...]
    """What it could reach nevertheless: `files`, `network`."""


def checks(case: Case) -> Iterator[Check]:
    yield Check("Installation", "sandbox", sandbox_findings)


def sandbox_findings(command: Sequence[str] = PROBE, deadline_seconds: float = PROBE_SECONDS) -> list[Finding]:
    """One finding: how well a decoder is sandboxed."""
    try:
        return [sandbox_finding(ask(command, Probed.model_validate_json, deadline_seconds))]
    except NoAnswer as silent:
        what = f"the decoders' sandbox could not be tested: {silent}"
        why = "a recording made to attack FFmpeg might have all the rights of the daemon's user"
        return [warning("sandbox", what, why, "steno logs")]


def sandbox_finding(probed: Probed) -> Finding:
    """What is open counts, and not by which wall it is closed."""
    if probed.open:
        what = f"decoders of recordings can reach {' and '.join(probed.open)}: {'; '.join(probed.lacks)}"
        why = "a recording made to attack FFmpeg would have all the rights of the daemon's user"
        return warning("sandbox", what, why, REMEDY)
    lacks = f"; not available: {'; '.join(probed.lacks)}" if probed.lacks else ""
    return ok("sandbox", f"recordings are decoded in a sandbox: {', '.join(probed.walls)}{lacks}")
