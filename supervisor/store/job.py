"""A job, its states and the moves between them, its options over the settings, and its places: pure.

Runs in: supervisor.

A watched folder was named by its owner; below it other users may have been at work. A recording that was handed
over was named by the client: its path was resolved then, and no link is followed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import Settings
from ipc.api_messages import Attempt, JobError, JobOptions
from ipc.transcript import RecordingFacts, TranscriptTiming
from ipc.vocabulary import FINISHED, Format, IfExists, JobStatus, Priority, Task, Workflow
from supervisor.disks.file_identity import FileIdentity
from supervisor.disks.held_folder import ScopedPath

ROOT = Path("/")
RUNNING: frozenset[JobStatus] = frozenset({"transcribing", "aligning", "writing"})
ALLOWED_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    "waiting": frozenset({"transcribing", "cancelled", "failed"}),
    # Back to waiting: the daemon stopped, or a worker could not be had; what was stored stays.
    "transcribing": frozenset({"aligning", "writing", "waiting", "failed", "cancelled"}),
    "aligning": frozenset({"writing", "waiting", "failed", "cancelled"}),
    "writing": frozenset({"done", "waiting", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset({"waiting"}),
    "cancelled": frozenset({"waiting"}),
}


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """Every option decided."""

    workflow: Workflow
    language: str | None
    """None: found by listening."""
    task: Task
    prompt: str | None
    model: str | None
    """What the transcriber is to load for this job; None: as the settings say."""
    formats: tuple[Format, ...]
    folder: Path | None
    """Where the files go; None: beside the recording."""
    if_exists: IfExists
    highlight_words: bool
    name: str
    """The template of the files' names."""
    replacements: Mapping[str, str]
    """Written words → words to write instead."""

    @property
    def wants_words(self) -> bool:
        """Whether words are to be timed. A translation's words are not in the sound: there is nothing to align."""
        return self.workflow == "subtitle" and self.task == "transcribe"


def resolve_options(options: JobOptions, settings: Settings) -> ResolvedOptions:
    """The job's options where given, the settings elsewhere."""
    output = settings.output
    return ResolvedOptions(
        workflow=options.workflow or settings.workflow,
        language=options.language or settings.language,
        task=options.task or settings.task,
        prompt=settings.prompt if options.prompt is None else options.prompt,
        model=options.model,
        formats=options.formats or output.formats,
        folder=Path(options.output_dir) if options.output_dir is not None else _expanded(output.folder),
        if_exists=options.if_exists or output.if_exists,
        highlight_words=output.highlight_words if options.highlight_words is None else options.highlight_words,
        name=options.output_name or output.name,
        replacements=settings.replacements | (options.replacements or {}),
    )


def _expanded(folder: Path | None) -> Path | None:
    return None if folder is None else folder.expanduser().absolute()


class MoveNotAllowed(Exception):
    """A job was asked to make a move that its state does not know."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """An output of ours, and its content's hash, so that the owner's edits are never overwritten."""

    path: str
    sha256: str | None
    """None: the name is reserved, the file not yet written."""
    promised: str | None = None
    """The sha256 of what is about to be written there, so that it is known again after a kill in between."""


@dataclass(frozen=True, slots=True)
class Job:
    """One recording on its way. A new value for every change; the database is the truth."""

    id: int
    path: str
    options: JobOptions
    status: JobStatus
    identity: FileIdentity
    created_at: float
    """Seconds since the epoch."""
    finished_at: float | None = None
    note: str | None = None
    timing: TranscriptTiming | None = None
    degraded_reason: str | None = None
    language: str | None = None
    language_probability: float | None = None
    audio_seconds: float | None = None
    transcribed_seconds: float = 0.0
    """Nothing before this has to be heard again."""
    transcribed_whole: bool = False
    """All speech is stored: only words and files are missing."""
    claims: int = 0
    """How often it was started; power cuts count here and do no harm."""
    transcriber_crashes: int = 0
    """How often a transcriber died holding it; only these quarantine."""
    aligner_crashes: int = 0
    quarantined: bool = False
    attempts: tuple[Attempt, ...] = ()
    outputs: dict[Format, WrittenFile] = field(default_factory=dict)
    error: JobError | None = None
    transcribed_by: str | None = None
    """EngineUsed as JSON: who heard the words."""
    aligned_by: str | None = None
    """EngineUsed as JSON: who timed them."""
    watch: str | None = None
    """The watched folder that brought it; None: it was handed over."""
    taken_from: str | None = None
    """Where the recording was before we moved it to its watched folder's `done` or `failed`; None: it never was."""
    recording: RecordingFacts | None = None
    """What was read of it; None: not decoded yet, or by an older version."""
    crashed_at_seconds: float | None = None
    """How far the transcript reached when a transcriber last died on it; None: none did."""
    daemon_deaths: int = 0
    """How often in a row the daemon itself died while this job ran, without progress in between."""
    deaths_alone: int = 0
    """How many of them came while it ran alone, behind all others."""
    idempotency_key: str | None = None
    """The client's name for the request that made it."""
    request_sha256: str | None = None
    """Of that request: the same key on another one is a mistake."""
    finished_age: float | None = None
    """How old the queue was when it was over, in seconds; None: it is not over."""
    unheard_seconds: float | None = None
    """How much of it was audible and gave no text; None: not listened to yet, or by an older version."""
    target: str | None = None
    """Where the recording really was when it was handed over: `path` with every link in it followed, once. None: a
    watched folder brought it."""
    home: str | None = None
    """The same for the folder that `path` is in: the results go there."""

    @property
    def first_path(self) -> str:
        """Where the recording was when it was taken: its results are named after that, and lie there."""
        return self.taken_from or self.path

    @property
    def priority(self) -> Priority:
        return self.options.priority or "normal"

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


def check_move(job: Job, to: JobStatus) -> None:
    """Raises MoveNotAllowed unless the job may go from where it is to `to`."""
    if to not in ALLOWED_MOVES[job.status]:
        raise MoveNotAllowed(f"job {job.id} is {job.status}; it cannot become {to}")


def check_retry(job: Job) -> None:
    """Raises MoveNotAllowed unless it is over without a result: a second run of one that runs would be a twin."""
    if job.status not in FINISHED or "waiting" not in ALLOWED_MOVES[job.status]:
        raise MoveNotAllowed(f"job {job.id} is {job.status}; only failed and cancelled jobs can be tried again")


def recording_of(job: Job) -> ScopedPath:
    """The recording itself."""
    if job.target is not None:
        return ScopedPath(Path(job.target), ROOT)
    return _in_watch(job, Path(job.path))


def results_folder(job: Job, folder: Path | None) -> ScopedPath:
    """The folder of the job's results: the one asked for, or where the recording was taken."""
    if folder is not None:
        return place_of(job, folder)
    return place_of(job, Path(job.home) if job.home is not None else Path(job.first_path).parent)


def place_of(job: Job, folder: Path) -> ScopedPath:
    """A folder that the job's files are in."""
    if job.home is not None and folder == Path(job.home):
        return ScopedPath(folder, ROOT)
    return _in_watch(job, folder)


def _in_watch(job: Job, path: Path) -> ScopedPath:
    watch = None if job.watch is None else Path(job.watch)
    return ScopedPath(path, watch if watch is not None and path.is_relative_to(watch) else None)
