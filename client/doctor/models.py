"""The models on this machine, examined by the workers' own program: it knows what they would load, and their hashes.

Runs in: the user's shell. Stands alone: one file a check.
"""

from collections.abc import Iterator, Mapping, Sequence

from client.doctor.check import CHECK_SECONDS, Case, Check, NoAnswer, ask, warning
from ipc.program import program
from ipc.status_views import Finding

MODEL_CHECK = (*program("workers.model_manager"), "check")
"""Prints one Finding a line, as JSON."""
HASHING_SECONDS = 120.0
"""Gigabytes are read and hashed; a slow disk takes its time."""


def checks(case: Case) -> Iterator[Check]:
    if case.wrong is None:
        deadline_seconds = HASHING_SECONDS + CHECK_SECONDS
        yield Check("Models", "models", lambda: model_findings(case.environment, case.model_check), deadline_seconds)


def model_findings(
    environment: Mapping[str, str], command: Sequence[str], deadline_seconds: float = HASHING_SECONDS
) -> list[Finding]:
    """What the program says; a warning where it says nothing that can be understood."""
    try:
        return ask(command, _findings, deadline_seconds, dict(environment))
    except NoAnswer as silent:
        what = f"the models could not be examined: {silent}"
        why = "a missing or damaged model would only show with the first job"
        return [warning("models", what, why, "steno models list")]


def _findings(lines: bytes) -> list[Finding]:
    return [Finding.model_validate_json(line) for line in lines.splitlines() if line.strip()]
