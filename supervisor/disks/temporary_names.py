"""The names of our temporary files: globally unique, hidden, and recognised after a kill. Pure.

Runs in: supervisor.

Several queues, on this machine and on others, may write to one folder, and each counts its jobs from 1. So a name
contains the installation, the job, and a random part; only its own installation removes such a file.
"""

import secrets
from dataclasses import dataclass
from typing import Final, Literal

UNFINISHED: Final = ".tmp"
"""What is being written."""
SWAPPED: Final = ".swap"
"""A file about to replace one of ours; after the exchange, the previous content."""
LEAVING: Final = ".leaving"
"""A recording that is already copied elsewhere."""
TemporarySuffix = Literal[".tmp", ".swap", ".leaving"]


@dataclass(frozen=True, slots=True)
class TemporaryNames:
    """The names of one job's temporary files."""

    installation: str
    """The queue's random id, created once."""
    job_id: int

    @property
    def prefix(self) -> str:
        """The prefix of all names of this job."""
        return f".stenod-{self.installation}-{self.job_id}-"

    def fresh(self, ending: TemporarySuffix, about: str = "") -> str:
        """A new name. `about`: a short word without a dot, which `about_of` returns."""
        return f"{self.prefix}{secrets.token_hex(6)}{about and '-'}{about}{ending}"

    def is_ours(self, name: str, ending: TemporarySuffix) -> bool:
        """Whether this name belongs to this job."""
        return name.startswith(self.prefix) and name.endswith(ending)

    def about(self, name: str) -> str:
        """The word that was passed to `fresh`."""
        return name.removeprefix(self.prefix).partition(".")[0].partition("-")[2]
