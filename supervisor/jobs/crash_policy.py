"""What a job does when its worker dies, or hangs in the kernel and cannot be killed: pure.

Runs in: supervisor.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

from ipc.vocabulary import Role
from supervisor.jobs.outcomes import JobFailed, JobMustWait, JobMustWaitLonger
from supervisor.store.job import Job
from supervisor.worker.death import Death

MOST_UNKILLABLE = 3
"""Workers that may hang over one recording at one place, once its disk has nothing to do with it."""
NextTranscription = Literal["same_engine", "fallback_engine", "quarantine"]
NextAlignment = Literal["same_batch", "halves", "leave_segment", "leave_rest"]
Item = TypeVar("Item")
DEATHS_ALLOWED_AT_LEAST = 20
AUDIO_SECONDS_PER_DEATH = 10.0
"""Deaths with progress in between are the machine's fault, not the recording's; but not without end."""


def is_spellbound(job: Job, role: Role) -> bool:
    """Whether enough workers hung in the kernel over a recording that it must be the reason.

    While a recording is decoded its disk is what hangs, and the job only waits.
    """
    here = round(job.transcribed_seconds, 2)
    hung = [
        attempt
        for attempt in job.attempts
        if attempt.unkillable
        and attempt.role == role
        and attempt.phase not in (None, "decoding")
        and attempt.done_seconds in (None, here)
    ]
    return len(hung) >= MOST_UNKILLABLE


def setback_of_unkillable(job: Job, death: Death) -> JobFailed | JobMustWait:
    """No crash is counted: a disk that died is the usual reason. Another worker has taken the place."""
    if not is_spellbound(job, "transcriber"):
        return JobMustWaitLonger(f"its worker: {death.reason}; it is tried again later")
    return JobFailed(
        "worker_unkillable",
        f"{MOST_UNKILLABLE} workers hang in the kernel over this recording: {death.reason}",
        f"look for a driver's fault in the system's log; `steno retry {job.id}` tries again",
        quarantined=True,
    )


def place_of_death(transcribed_seconds: float, still_decoding: float | None) -> float:
    """How far a recording got before a worker died of it: larger is further; negative: it was not even decoded.

    `still_decoding`: how far that was; None: it is. Decoding begins again after a death and keeps nothing; but what
    got further did not die of the same place.
    """
    return transcribed_seconds if still_decoding is None else -1.0 / (1.0 + still_decoding)


def deaths_in_a_row(before: int, last_place: float | None, place: float) -> int:
    """With this death, at `place`, after `before` others, the last at `last_place`; None: there was none.

    Whatever got further since acquits the recording of the deaths that lie behind it.
    """
    return 1 if last_place is not None and place > last_place else before + 1


def most_deaths(audio_seconds: float | None) -> int:
    """Deaths of a worker that one job may cost in all, whatever progress it makes between them."""
    return DEATHS_ALLOWED_AT_LEAST + int((audio_seconds or 0.0) / AUDIO_SECONDS_PER_DEATH)


def next_transcription(crashes: int, crashes_allowed: int, has_fallback: bool) -> NextTranscription:
    """After the job's `crashes`-th transcriber death: the last try that is allowed goes to the other engine."""
    if crashes > crashes_allowed:
        return "quarantine"
    if crashes == crashes_allowed and has_fallback:
        return "fallback_engine"
    return "same_engine"


def deaths_in_words(in_a_row: int, in_all: int) -> str:
    """How often a worker died of a recording."""
    if in_a_row >= in_all:
        return f"{in_a_row} times on this recording"
    return f"{in_all} times on this recording, {in_a_row} times in a row without getting any further"


def next_alignment(batch_size: int, deaths_of_batch: int, job_deaths: int, restarts_allowed: int) -> NextAlignment:
    """After an aligner death: the same batch once more, then halves, until the poisonous segment is alone.

    `job_deaths` counts those without a batch in between that got its words at the first or second try.
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
