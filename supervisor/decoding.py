"""The first step of every job: its recording becomes PCM in the spool, in a worker of either role.

Runs in: supervisor.
"""

from collections.abc import Callable
from pathlib import Path

from config.settings import Settings
from ipc.api_messages import JobError
from ipc.worker_messages import AudioDecoded, Decode, Phase, Progress, RequestFailed
from supervisor.setbacks import JobFailed, JobMustWait
from supervisor.worker_keeper import WorkerKeeper

Step = Callable[[Phase, float], None]
"""Told at every step forward: the phase, and the seconds of audio behind us in it."""

CURABLE = frozenset({"disk_full", "spool_failed", "changed_while_read"})
"""Refusals that say nothing about the recording: the job waits for better times."""


async def decode(
    keeper: WorkerKeeper,
    recording: str,
    pcm: Path,
    settings: Settings,
    *,
    job_id: int,
    step: Step,
    engine: str | None = None,
    model: str | None = None,
) -> AudioDecoded:
    """The recording as PCM in the spool, and what was read of it. PCM that is already there is not made again.

    `engine` and `model` are those wanted next: any can decode, and a change of model between the two costs a load.

    Raises JobFailed, JobMustWait, and what the keeper raises.
    """
    request = Decode(
        request_id=0, path=recording, pcm_path=str(pcm), longest_seconds=settings.media.longest_hours * 3600.0
    )
    decoded = AudioDecoded(request_id=0, seconds=0.0)
    async with keeper.request(
        request, deadline_seconds=settings.deadlines.decoding_seconds, during_job=job_id, engine=engine, model=model
    ) as replies:
        async for reply in replies:
            match reply:
                case Progress(phase=phase, done_seconds=done_seconds):
                    step(phase, done_seconds)
                case AudioDecoded():
                    decoded = reply
                case RequestFailed() as refused:
                    raise_refusal(refused)
                case _:
                    pass
    return decoded


def raise_refusal(refused: RequestFailed) -> None:
    """The worker is well and says no: the job waits where waiting helps, and has failed elsewhere."""
    if refused.code in CURABLE:
        raise JobMustWait(f"{refused.message}; {refused.hint}")
    raise JobFailed(JobError(code=refused.code, message=refused.message, hint=refused.hint))
