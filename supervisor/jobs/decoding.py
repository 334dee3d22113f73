"""What the steps of a job share, and the first of them: its recording becomes PCM, in a worker of either role.

Runs in: supervisor.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from ipc.api_messages import Attempt
from ipc.transcript import EngineUsed
from ipc.vocabulary import Outcome, Phase, Role
from ipc.worker_messages import AudioDecoded, Decode, ExpectedFile, Progress, RequestFailed
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.outcomes import JobFailed, JobMustWait
from supervisor.store.job import Job, recording_of
from supervisor.store.jobs import JobQueue
from supervisor.system.clock import iso_time
from supervisor.worker.death import Death
from supervisor.worker.handle import WorkerHandle

Step = Callable[[Phase, float], object]
"""Told at every step forward: the phase, and the seconds of audio behind us in it."""

CURABLE = frozenset({"disk_full", "spool_failed", "changed_while_read", "disk_not_answering", "no_decoder"})
"""Refusals that say nothing about the recording: the job waits for better times."""
DECODER = "decoder"
"""The engine that a job's story names where a decoder died, and no worker."""
CRASHED = "decoder_crashed:"
"""How a worker begins its code for that; the signal follows."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """One job at the workers."""

    job: Job
    """As it was at the beginning; the queue has it as it is."""
    pcm: Path
    queue: JobQueue
    settings: Settings
    """They hold for the job until it ends or waits again."""
    step: Step
    urgent: bool = False
    """It goes before what else the workers do, as soon as that can pause."""


def attempt_of(
    role: Role, engine: str, outcome: Outcome, death: Death | None, done_seconds: float | None = None
) -> Attempt:
    """A line of the job's story; `death` is how the worker ended, None: it lives."""
    return Attempt(
        role=role,
        engine=engine,
        outcome=outcome,
        signal=None if death is None else death.signal,
        phase=None if death is None else death.phase,
        done_seconds=done_seconds,
        at=iso_time(time.time() if death is None else death.at),
        unkillable=death is not None and death.written_off,
    )


def engine_in(handle: WorkerHandle) -> str:
    """EngineUsed as JSON: what is in the worker now."""
    view = handle.view
    return EngineUsed(engine=view.engine, model=view.model or "", device=view.device or "").model_dump_json()


class DecoderCrashed(Exception):
    """The worker is well; its decoders died on this recording, one after the other."""

    def __init__(self, death: Death) -> None:
        super().__init__(death.reason)
        self.death = death


async def decode(
    context: JobContext,
    handle: WorkerHandle,
    job: Job,
    *,
    engine: str | None = None,
    model: str | None = None,
    track: int | None = None,
) -> AudioDecoded:
    """The recording of the job, as it is now, as PCM in the spool, and what was read of it. PCM that is already there
    is not made again.

    `track` is the sound track to take, counted from 1; None: as the job says, or chosen by the decoder, but once
    something was heard in one, that one. `engine` and `model` are those wanted next: any can decode, and a change of
    model between the two costs a load.

    Raises JobFailed, JobMustWait, DecoderCrashed, and what the handle raises.
    """
    recording, settings = recording_of(job), context.settings
    request = Decode(
        request_id=0,
        path=str(recording.path),
        pcm_path=str(context.pcm),
        longest_seconds=settings.media.longest_hours * 3600.0,
        expected=_expected(job.identity),
        beneath=None if recording.beneath is None else str(recording.beneath),
        track=track or job.options.track or _track_heard(job),
        language=job.options.language or settings.language,
        disk_seconds=settings.watching.unreachable_seconds,
    )
    decoded: AudioDecoded | None = None
    while decoded is None:
        # Once for each time that it has to make way for an urgent job.
        async with handle.request(
            request,
            deadline_seconds=settings.deadlines.decoding_seconds,
            during_job=job.id,
            engine=engine,
            model=model,
            urgent=context.urgent,
        ) as replies:
            async for reply in replies:
                match reply:
                    case Progress(phase=phase, done_seconds=done_seconds):
                        context.step(phase, done_seconds)
                    case AudioDecoded():
                        decoded = reply
                    case RequestFailed() as refused if refused.code.startswith(CRASHED):
                        raise DecoderCrashed(_death(refused, job.id))
                    case RequestFailed() as refused:
                        raise_refusal(refused)
                    case _:
                        pass
    return decoded


def _track_heard(job: Job) -> int | None:
    known = job.recording is not None and job.transcribed_seconds > 0
    return job.recording.track.number if known and job.recording and job.recording.track else None


def is_another(decoded: AudioDecoded, job: Job) -> bool:
    """Whether what was decoded is known to be another content than the job's segments were heard in.

    Size, time and inode were the same, or the worker would have refused: a program put the time back.
    """
    now = None if decoded.recording is None else decoded.recording.sha256
    known = {job.identity.sha256, None if job.recording is None else job.recording.sha256} - {None}
    return now is not None and bool(known - {now})


def _expected(identity: FileIdentity) -> ExpectedFile:
    return ExpectedFile(device=identity.device, inode=identity.inode, size=identity.size, mtime_ns=identity.mtime_ns)


def _death(refused: RequestFailed, job_id: int) -> Death:
    """The same as a worker's death, for the job's story."""
    how = refused.code.removeprefix(CRASHED)
    return Death(
        signal=how if how.startswith("SIG") else None,
        exit_code=None,
        phase="decoding",
        cause="timeout" if how == "timeout" else "crashed",
        reason=refused.message,
        traceback="",
        at=time.time(),
        during_job=job_id,
    )


def raise_refusal(refused: RequestFailed) -> None:
    """The worker is well and says no: the job waits where waiting helps, and has failed elsewhere."""
    if refused.code in CURABLE:
        raise JobMustWait(f"{refused.message}; {refused.hint}")
    raise JobFailed(refused.code, refused.message, refused.hint)
