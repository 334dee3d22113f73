"""What becomes of a recording that came into a watched folder, by what is known of its content: pure.

Runs in: supervisor.

Content is known once something came of it, or will: a copy of a done or waiting recording is nothing new, a copy of a
failed one is. A recording that is not where its job has it was renamed or moved, and its job goes where it is. And
what lies at a path counts, not what once lay there: results of other content beside it must be replaced.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ipc.api_messages import JobOptions
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.job import RUNNING, Job

RECORDING_GONE = frozenset({"not_found", "is_a_symlink", "is_a_directory", "not_a_regular_file", "empty_file"})
"""Codes of errors that say: the recording is not at its path. It may come back, or be found elsewhere."""

AS_THE_SETTINGS_SAY = JobOptions()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that stopped changing, and what its folder wants."""

    path: str
    identity: FileIdentity
    """With its sha256."""
    options: JobOptions = AS_THE_SETTINGS_SAY
    watch: str | None = None
    """The watched folder."""
    treatment: str | None = None
    """How its folder treats recordings; None: like any."""
    target: str | None = None
    """Where it really is, as in Job; None: as `path` says."""
    home: str | None = None
    """The folder of `path`, the same way."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One place where this content was seen before."""

    path: str
    treatment: str | None
    job_id: int | None
    """None: taken by an older version, or nothing is known of a job. 0: the job is forgotten, and came to nothing."""
    job: Job | None
    """None: there is none, or it was forgotten."""

    def treats_like(self, arrival: Arrival) -> bool:
        """Whether what came of it there is what is wanted here."""
        return None in (self.treatment, arrival.treatment) or self.treatment == arrival.treatment


@dataclass(frozen=True, slots=True)
class KnownContent:
    """What else is known of the arrival's path."""

    holds: Literal["nothing", "this", "other"]
    """Which content lay there last: none that we saw, the same, another."""
    has_other_results: bool
    """Whether results for other content were written for this path, or are just being made."""
    other_is_heard: bool = False
    """Whether they are just being made, and will be written after all that is there."""


Fate = Literal["new", "known", "followed", "revived"]
"""`followed`: its job continues with it here. `revived`: the same, for a job that had failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the arrival."""

    fate: Fate
    job_id: int | None = None
    """Whose the content is; None: a new job's, or not known."""


NEW = Verdict("new")


def judge(arrival: Arrival, sights: Sequence[Sight], around: KnownContent, strays: Collection[int]) -> Verdict:
    """`sights` of this very content, at most one of them at the arrival's path. `strays` are the jobs whose recording
    is not where they have it."""
    here = next((sight for sight in sights if sight.path == arrival.path), None)
    if around.holds == "this" and here is not None:
        return _still_here(arrival, here, strays)
    unfinished = [sight for sight in sights if sight.job is not None and not sight.job.is_finished]
    for sight in unfinished:
        assert sight.job is not None
        if sight.job.path == arrival.path and not around.other_is_heard:
            return Verdict("known", sight.job.id)  # other content lay here in between, and its job has not begun
        if sight.job.id in strays and (sight.treats_like(arrival) or sight.job.status == "waiting"):
            return Verdict("followed", sight.job.id)
    if not around.has_other_results:
        for sight in [*unfinished, *(sight for sight in sights if _came_to_something(sight))]:
            if sight.treats_like(arrival):
                is_stray = sight.job is not None and sight.job.id in strays and around.holds == "nothing"
                return Verdict("followed" if is_stray else "known", sight.job_id)
    for sight in sights:
        if sight.job is not None and sight.job.id in strays:
            if sight.job.status == "failed":
                return Verdict("revived", sight.job.id)
            if sight.job.status == "cancelled" and sight.job.identity.looks_like(arrival.identity):
                return Verdict("followed", sight.job.id)  # the very file that its owner wants left alone
    return NEW


def _still_here(arrival: Arrival, here: Sight, strays: Collection[int]) -> Verdict:
    """The same content as last time at this path: touched, copied again, or gone for a while."""
    job = here.job
    if job is None:
        return Verdict("known", here.job_id)
    if job.status == "failed":
        if job.id in strays or (job.error is not None and job.error.code in RECORDING_GONE):
            return Verdict("revived", job.id)
        if job.path != arrival.path:
            return NEW  # a copy of what failed elsewhere
    return Verdict("followed" if job.id in strays else "known", job.id)


def _came_to_something(sight: Sight) -> bool:
    return sight.job_id != 0 if sight.job is None else sight.job.status == "done"


def is_being_heard(job: Job | None) -> bool:
    """Whether its text will be that of what was at its path when it began."""
    return job is not None and job.status in RUNNING
