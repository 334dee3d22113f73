"""What a job does when a worker dies holding it: pure.

Runs in: supervisor.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

NextTranscription = Literal["same_engine", "fallback_engine", "quarantine"]
NextAlignment = Literal["same_batch", "halves", "leave_segment", "leave_rest"]

Item = TypeVar("Item")


def next_transcription(crashes: int, crashes_allowed: int, has_fallback: bool) -> NextTranscription:
    """After the job's `crashes`-th transcriber death: the last try that is allowed goes to the other engine."""
    if crashes > crashes_allowed:
        return "quarantine"
    if crashes == crashes_allowed and has_fallback:
        return "fallback_engine"
    return "same_engine"


def next_alignment(batch_size: int, deaths_of_batch: int, job_deaths: int, restarts_allowed: int) -> NextAlignment:
    """After an aligner death: the same batch once more, then halves, until the poisonous segment is alone.

    `deaths_of_batch` counts this batch and those it was cut from; a half is not given a second chance as a whole,
    since its parent had one.
    """
    if job_deaths > restarts_allowed:
        return "leave_rest"
    if deaths_of_batch == 1:
        return "same_batch"
    return "halves" if batch_size > 1 else "leave_segment"


def halves(batch: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """Two parts of a batch of at least two, in order."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
