"""The views of `steno status` and `steno show`: converts internal values to the shapes that scripts rely on. Pure.

Runs in: supervisor.
"""

from collections.abc import Sequence

from ipc.api_messages import JobView
from ipc.status_views import (
    CanaryView,
    Finding,
    HealthView,
    WorkerView,
)
from supervisor.store.job import Job
from supervisor.system.clock import iso_time
from supervisor.worker.state_machine import ABLE


def job_view(job: Job, why_waiting: str | None = None) -> JobView:
    """A job for people and scripts. `why_waiting`: the note of a waiting job that has none."""
    return JobView(
        id=job.id,
        path=job.path,
        status=job.status,
        note=job.note or (why_waiting if job.status == "waiting" else None),
        timing=job.timing,
        degraded_reason=job.degraded_reason,
        language=job.language,
        audio_seconds=job.audio_seconds,
        attempts=job.attempts,
        outputs={format: written.path for format, written in job.outputs.items() if written.sha256 is not None},
        error=job.error,
        created_at=iso_time(job.created_at),
        finished_at=None if job.finished_at is None else iso_time(job.finished_at),
        watch=job.watch,
        priority=job.priority,
        recording=job.recording,
        unheard_seconds=job.unheard_seconds,
        warnings=warnings_of(job),
    )


def warnings_of(job: Job) -> tuple[str, ...]:
    """What the user should know about the result, as sentences."""
    return () if job.recording is None else tuple(damage.message for damage in job.recording.damage)


def health_view(
    transcriber: WorkerView,
    aligner: WorkerView | None,
    canary: CanaryView | None = None,
    troubles: Sequence[Finding] = (),
) -> HealthView:
    """Healthy: a recording submitted now would be transcribed, with words if an aligner is configured."""
    unable = [worker for worker in (transcriber, aligner) if worker is not None and worker.state not in ABLE]
    reasons = [f"the {one.role} is {one.state}" + (f": {one.note}" if one.note else "") for one in unable]
    if canary is not None and not canary.healthy:
        reasons.append(f"the check with a short recording failed: {canary.detail}")
    reasons += [trouble.what for trouble in troubles if trouble.state == "broken"]
    return HealthView(
        healthy=not reasons,
        reasons=tuple(reasons),
        warnings=tuple(trouble.what for trouble in troubles if trouble.state == "warning"),
        transcriber=transcriber.state,
        aligner=None if aligner is None else aligner.state,
        canary=canary,
    )
