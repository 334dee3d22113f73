"""A launchctl and a systemctl that lie on every test's PATH in front of the machine's own, and refuse to change it.

Runs in: the test process, and as programs that a test starts by mistake.

A developer's own stenod may run under the label that a test would use: a `bootout` that reaches the real launchctl
ends it. Tests that are about services put fakes of their own in front of these.
"""

import os
import shlex
import shutil
from pathlib import Path

NAMES = ("launchctl", "systemctl")
REFUSED = 64
QUESTIONS = "print|print-disabled|show|is-enabled|is-active"
"""What changes nothing gets the answer of a machine on which nobody is logged in."""
SCRIPT = """#!/bin/sh
for word in "$@"; do
  case "$word" in
    -*) ;;
    {questions}) echo "Failed to connect to bus: No medium found" >&2; exit 1 ;;
    *) break ;;
  esac
done
echo "{name} $*" >> {calls}
echo "a test called {name}: it would have changed this machine" >&2
exit {refused}
"""


class StandIns:
    """The two programs, in a folder of this process's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        for name in NAMES:
            program = folder / name
            calls = shlex.quote(str(self._calls))
            program.write_text(SCRIPT.format(name=name, calls=calls, questions=QUESTIONS, refused=REFUSED))
            program.chmod(0o755)

    def go_first(self) -> None:
        """On this process's PATH, and so on the PATH of all that it starts."""
        os.environ["PATH"] = f"{self.folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def calls(self) -> list[str]:
        """What would have changed the machine since the last time."""
        if not self._calls.exists():
            return []
        found = self._calls.read_text().splitlines()
        self._calls.unlink()
        return found

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
