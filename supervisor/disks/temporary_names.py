"""What our unfinished files are called: unique in the world, hidden, and known again after a kill. Pure.

Runs in: supervisor.

Several queues may write into one folder, on this machine and on others, and each counts its jobs from 1. So a name
carries the installation, the job, and a random part; only its own installation ever takes such a file away.
"""

import secrets
from dataclasses import dataclass
from typing import Final, Literal

UNFINISHED: Final = ".tmp"
"""What is being written."""
SWAPPED: Final = ".swap"
"""What is about to replace a file of ours; and then, what that name held."""
LEAVING: Final = ".leaving"
"""A recording whose copy is elsewhere by now."""
Ending = Literal[".tmp", ".swap", ".leaving"]


@dataclass(frozen=True, slots=True)
class TemporaryNames:
    """The names of one job's unfinished files."""

    installation: str
    """Of the queue: made once, at random."""
    job_id: int

    @property
    def prefix(self) -> str:
        """Of every name that this job's files may have."""
        return f".stenod-{self.installation}-{self.job_id}-"

    def fresh(self, ending: Ending, about: str = "") -> str:
        """A name that no file has. `about` is a short word without a dot, to be found again in it."""
        return f"{self.prefix}{secrets.token_hex(6)}{about and '-'}{about}{ending}"

    def is_ours(self, name: str, ending: Ending) -> bool:
        """Whether a file of that name is this job's."""
        return name.startswith(self.prefix) and name.endswith(ending)

    def about(self, name: str) -> str:
        """The word that `fresh` was given."""
        return name.removeprefix(self.prefix).partition(".")[0].partition("-")[2]
