"""An installation for tests: Anna's, unless a test says otherwise.

Runs in: the test process.
"""

from pathlib import Path

from launchd.installation import Installation, find_installation
from launchd.owner import Owner

ANNA = Owner("anna", 501, 20, Path("/Users/anna"))
INTERPRETER = Path("/Users/anna/stenod/.venv/bin/python")
PROGRAM = Path("/opt/homebrew/Frameworks/Python.framework/Versions/3.12/Resources/Python.app")


def sample_installation(
    platform: str = "darwin", *, is_system: bool = False, interpreter: Path = INTERPRETER, **environment: str
) -> Installation:
    logs = ANNA.home / "Library/Logs/stenod"
    return find_installation(
        environment,
        platform=platform,
        owner=ANNA,
        is_system=is_system,
        interpreter=interpreter,
        program=PROGRAM,
        logs=logs,
        current_folder=Path("/somewhere"),
    )
