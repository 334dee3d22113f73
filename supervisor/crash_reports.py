"""What is kept of a crash that cost a job: the native traceback, in a file of its own beside the logs.

Runs in: supervisor.
"""

from dataclasses import dataclass
from pathlib import Path

from supervisor.status_report import iso_time
from supervisor.worker_keeper import Death


@dataclass(frozen=True, slots=True)
class CrashReports:
    """One file a quarantined job; the newest crash wins."""

    folder: Path

    def write(self, job_id: int, death: Death) -> Path:
        """The file's path. No transcript text is in it: faulthandler prints code, not data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"job-{job_id}.txt"
        lines = [
            f"job {job_id}, {iso_time(death.at)}",
            f"{death.reason} (signal {death.signal}, exit code {death.exit_code}, phase {death.phase})",
            "",
            death.traceback or "no traceback was left",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
