"""What is kept of a crash that cost a job: the native traceback, in a file of its own beside the logs.

Runs in: supervisor.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from config.ownership import make_private, open_own
from supervisor.system.clock import iso_time
from supervisor.worker.handle import Death


@dataclass(frozen=True, slots=True)
class CrashReports:
    """One file a quarantined job; the newest crash wins."""

    folder: Path

    def write(self, job_id: int, death: Death) -> Path:
        """The file's path. No transcript text is in it: faulthandler prints code, not data."""
        make_private(self.folder)
        path = self.folder / f"job-{job_id}.txt"
        lines = [
            f"job {job_id}, {iso_time(death.at)}",
            f"{death.reason} (signal {death.signal}, exit code {death.exit_code}, phase {death.phase})",
            "",
            death.traceback or "no traceback was left",
        ]
        # A new file each time: whatever lies under the name, a link above all, is not written to.
        path.unlink(missing_ok=True)
        with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as report:
            report.write("\n".join(lines) + "\n")
        return path
