"""What a command's exit code says: pure.

Runs in: the user's shell.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the numbers are needed before pydantic is
    from ipc.api_messages import JobView

DONE = 0
UNHEALTHY = 1
"""Of `steno health` and `steno doctor`; also of a Python that cannot run stenod at all."""
USAGE = 2
"""The request was wrong: a flag, or a file that was refused."""
DEGRADED = 3
FAILED = 4
CANCELLED = 5
NO_DAEMON = 69
"""EX_UNAVAILABLE of sysexits(3)."""
NOT_WRITTEN = 74
"""EX_IOERR: standard output is closed, or on a full disk."""
INTERRUPTED = 130

FROM_WORST = (FAILED, CANCELLED, USAGE, DEGRADED, DONE)


def of_job(job: "JobView", require_words: bool = False) -> int:
    """The code of one finished job. Without `require_words` a degraded job is a done one."""
    match job.status:
        case "failed":
            return FAILED
        case "cancelled":
            return CANCELLED
        case _ if require_words and (job.degraded_reason is not None or job.timing == "mixed"):
            return DEGRADED
        case _:
            return DONE


def worst(codes: Iterable[int]) -> int:
    """One code for many files."""
    return min(codes, key=FROM_WORST.index, default=DONE)
