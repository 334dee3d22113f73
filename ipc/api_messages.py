"""What crosses the Unix socket: requests and the shapes scripts rely on.

Runs in: supervisor and the user's shell.
"""

from typing import Literal

from pydantic import Field

from ipc.transcript import TranscriptTiming, Value
from ipc.worker_messages import Role, Task

Workflow = Literal["transcribe", "subtitle"]
"""`subtitle` wants words with times; `transcribe` skips alignment on purpose."""
Format = Literal["json", "srt", "vtt", "txt", "tsv", "md"]
IfExists = Literal["renew", "skip", "overwrite", "suffix"]
"""`renew`: replace what stenod wrote for this recording and nobody changed; beside anything else write `name (2)`."""
JobStatus = Literal["waiting", "transcribing", "aligning", "writing", "done", "failed", "cancelled"]
Outcome = Literal["done", "crashed", "failed", "timeout"]
WorkerState = Literal["starting", "ready", "busy", "backing_off", "broken", "unloaded", "stopping", "stopped"]


class JobOptions(Value):
    """How one recording wants to be treated; None everywhere means: as the settings say."""

    workflow: Workflow | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639-1; `None` with no setting either: found by listening."""
    task: Task | None = None
    prompt: str | None = Field(default=None, max_length=4000)
    formats: tuple[Format, ...] | None = Field(default=None, min_length=1)
    output_dir: str | None = Field(default=None, min_length=1, max_length=4096)
    """Absolute; None: beside the recording."""
    if_exists: IfExists | None = None
    highlight_words: bool | None = None
    model: str | None = Field(default=None, min_length=1, max_length=4096)
    """What the transcriber is to load for it: a name, a hub id, a folder or `starter`."""
    replacements: dict[str, str] | None = Field(default=None, max_length=10_000)
    """Written words → words to write instead, on top of those of the settings."""
    output_name: str | None = Field(default=None, min_length=1, max_length=200)
    """A name template, as the setting output.name."""


class SubmitFile(Value):
    """The body of `POST /v1/jobs`."""

    path: str = Field(min_length=1, max_length=4096)
    """Absolute path of a regular file that the daemon may read."""
    options: JobOptions = JobOptions()


class Attempt(Value):
    """One time a worker had the job in hand, and how that ended."""

    role: Role
    engine: str
    outcome: Outcome
    signal: str | None = None
    """`SIGSEGV` and its kin when the worker died of one."""
    phase: str | None = None
    """What it was doing when it died."""


class JobError(Value):
    """Why a job failed, and what to do."""

    code: str
    message: str
    hint: str


class JobView(Value):
    """A job as `steno show --json` prints it. Scripts rely on every name here."""

    id: int
    path: str
    status: JobStatus
    note: str | None = None
    """Why it waits, in words."""
    timing: TranscriptTiming | None = None
    degraded_reason: str | None = None
    language: str | None = None
    audio_seconds: float | None = None
    attempts: tuple[Attempt, ...] = ()
    outputs: dict[Format, str] = Field(default_factory=dict)
    error: JobError | None = None
    created_at: str
    """UTC, ISO 8601."""
    finished_at: str | None = None
    watch: str | None = None
    """The watched folder that brought it."""


class LastDeath(Value):
    """How a worker ended last time nobody had asked it to."""

    signal: str | None
    """`SIGSEGV` …; None when it simply exited."""
    exit_code: int | None
    """Minus the signal where one ended it: -11 is SIGSEGV."""
    reason: str
    """In words: `segmentation fault while transcribing`."""
    during_job: int | None
    at: str
    """UTC, ISO 8601."""


class WorkerView(Value):
    """One worker as `steno status` shows it."""

    role: Role
    engine: str
    model: str | None
    device: str | None
    state: WorkerState
    pid: int | None
    restarts: int
    last_death: LastDeath | None
    note: str | None = None
    """Why it is not ready, in words: `needs model small: run …`."""
    footprint_bytes: int | None = None


class RunningView(Value):
    """How far a running job is."""

    id: int
    path: str
    status: JobStatus
    phase: str | None
    done_seconds: float
    audio_seconds: float | None
    speed: float | None = None
    """Seconds of audio for each second of work, as seen so far; None while there is nothing to judge by."""
    eta_seconds: float | None = None
    """How long this phase will still take; None: not known."""


class PassedOverView(Value):
    """Something in a watched folder that would have been taken but for a reason."""

    path: str
    why: Literal["name_is_not_utf8", "only_in_icloud", "folder_cannot_be_read"]


class WatchView(Value):
    """One watched folder."""

    path: str
    state: Literal["watching", "offline", "needs_permission"]
    recursive: bool
    growing: tuple[str, ...] = ()
    """Files that are still being written."""
    permanent: bool = True
    """False: added over the socket, not by the settings."""
    note: str | None = None
    """Why it is offline, or what has to be permitted, in words."""
    polling: bool = False
    """Looked at by the clock alone: a network disk, or by the owner's choice."""
    passed: tuple[PassedOverView, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    done: str | None = None
    failed: str | None = None
    options: JobOptions = JobOptions()
    """How its recordings are treated."""


class QueueView(Value):
    """How much is to do."""

    waiting: int
    running: int
    done: int
    failed: int
    paused: bool


class DaemonView(Value):
    """The daemon itself."""

    pid: int
    version: str
    uptime_seconds: float


class StatusView(Value):
    """The whole of `steno status --json`."""

    daemon: DaemonView
    workers: tuple[WorkerView, ...]
    queue: QueueView
    watches: tuple[WatchView, ...]
    running: tuple[RunningView, ...] = ()


class CanaryView(Value):
    """How a short recording came through both workers."""

    healthy: bool
    detail: str
    """`all words timed`, or what went wrong, in words."""
    at: str
    """UTC, ISO 8601."""
    audio_seconds: float
    transcribe_seconds: float | None = None
    align_seconds: float | None = None
    words: int = 0

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work for each second of audio; below 1 is faster than listening."""
        if self.transcribe_seconds is None:
            return None
        return (self.transcribe_seconds + (self.align_seconds or 0.0)) / self.audio_seconds


class HealthView(Value):
    """`GET /v1/health`: whether a recording handed over now would come out with words."""

    healthy: bool
    transcriber: WorkerState
    aligner: WorkerState | None
    """None: no aligner is configured."""
    canary: CanaryView | None = None
    """The last proof; None: there is none yet."""


FindingState = Literal["ok", "warning", "broken"]


class Finding(Value):
    """One thing that `steno doctor` looked at."""

    check: str
    """Stable, snake_case: `socket_folder`, `watch_folder`, `transcriber_model` …"""
    state: FindingState
    what: str
    """What was found: `/home/me/Transcribe can be read`."""
    why: str = ""
    """Why it matters; empty where all is well."""
    remedy: str = ""
    """The command or the step that mends it; empty where all is well."""


class ReloadView(Value):
    """What came of reading the settings again."""

    applied: tuple[str, ...]
    """Dotted keys whose new value holds from now on."""
    needs_restart: tuple[str, ...]
    """Dotted keys that changed and hold only after the daemon was started again."""


class AddWatch(Value):
    """The body of `POST /v1/watches`; `DELETE /v1/watches?path=` takes it back. As `[[watch]]` in config.toml."""

    path: str = Field(min_length=1, max_length=4096)
    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    polling: bool | None = None
    done: str | None = Field(default=None, min_length=1, max_length=4096)
    failed: str | None = Field(default=None, min_length=1, max_length=4096)
    options: JobOptions = JobOptions()


class Problem(Value):
    """A refusal, as problem+json (RFC 9457)."""

    status: int
    code: str
    detail: str
    hint: str


EventKind = Literal["job", "progress", "worker", "queue"]


class JobChanged(Value):
    """A server-sent event: a job moved."""

    kind: Literal["job"] = "job"
    job: JobView


class JobProgressed(Value):
    """A server-sent event: a running job came a step further."""

    kind: Literal["progress"] = "progress"
    running: RunningView


class WorkerChanged(Value):
    """A server-sent event: a worker changed state."""

    kind: Literal["worker"] = "worker"
    worker: WorkerView


class QueuePaused(Value):
    """A server-sent event: the queue was paused or resumed."""

    kind: Literal["queue"] = "queue"
    paused: bool


Event = JobChanged | JobProgressed | WorkerChanged | QueuePaused
