"""What crosses the Unix socket: requests and the shapes scripts rely on.

Runs in: supervisor and the user's shell.
"""

from typing import Annotated

from pydantic import Field, StrictBool

from ipc.transcript import RecordingFacts, TranscriptTiming, Value
from ipc.vocabulary import Format, IfExists, JobStatus, Outcome, Priority, Role, Task, Workflow

# Patterns that only describe: what does not fit them is refused by the daemon, in better words than a pattern has.
NulFreeText = Annotated[str, Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]
"""No path and no argument of a process carries a NUL."""
AbsolutePath = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"pattern": r"^/[^\u0000]*$"})]
"""The client's working folder is not the daemon's."""
Replacements = Annotated[
    dict[str, NulFreeText],
    Field(max_length=10_000, json_schema_extra={"propertyNames": {"pattern": r"^[^\u0000]*$"}}),
]
"""Written words → words to write instead."""
_PLAIN = r"[^{}/\u0000]|\{\{|\}\}"
NameTemplate = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        json_schema_extra={
            "pattern": rf"^(?:{_PLAIN}|\{{(?:folder|language|date|time)\}})*"
            r"\{(?:stem|name)\}"
            rf"(?:{_PLAIN}|\{{(?:stem|name|folder|language|date|time)\}})*$"
        },
    ),
]
"""As the setting output.name."""
NamePattern = Annotated[
    str,
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": 1000,
            "pattern": r"^(?:[^~\u0000][^\u0000]*|~(?:[^/\u0000][^\u0000]*)?)$",
        }
    ),
]
"""What names look like, relative to the watched folder: `*.m4a`, `meetings/*`."""
NamePatterns = Annotated[tuple[NamePattern, ...], Field(max_length=100)]
"""Each is tried with every file of the folder, at every look."""


class JobOptions(Value):
    """How one recording wants to be treated; None everywhere means: as the settings say."""

    workflow: Workflow | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639-1; `None` with no setting either: found by listening."""
    task: Task | None = None
    prompt: NulFreeText | None = Field(default=None, max_length=4000)
    formats: tuple[Format, ...] | None = Field(default=None, min_length=1)
    output_dir: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    """Absolute, or, for a watched folder, relative to it; None: beside the recording."""
    if_exists: IfExists | None = None
    highlight_words: StrictBool | None = None
    model: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    """What the transcriber is to load for it: a name, a hub id, a folder or `starter`."""
    replacements: Replacements | None = None
    """On top of those of the settings."""
    output_name: NameTemplate | None = None
    track: int | None = Field(default=None, ge=1, le=1000)
    """Which sound track to take, counted from 1; None: the daemon chooses."""
    priority: Priority | None = None
    """`now`: it goes between two batches of a running job; `archive`: others go first, mostly; None: normal."""


class SubmitFile(Value):
    """The body of `POST /v1/jobs`."""

    path: AbsolutePath
    """A regular file that the daemon may read."""
    options: JobOptions = JobOptions()


class Attempt(Value):
    """One time a worker had the job, and how that ended."""

    role: Role
    engine: str
    outcome: Outcome
    signal: str | None = None
    """`SIGSEGV` and its kin when the worker died of one."""
    phase: str | None = None
    """What it was doing when it died."""
    done_seconds: float | None = None
    """How much of the recording was safely transcribed by then; None: older than this field."""
    at: str | None = None
    """When it ended; UTC, ISO 8601."""
    unkillable: bool = False
    """The worker hung in the kernel and could not be ended: as far as stenod knows, not because of the recording."""


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
    priority: Priority = "normal"
    recording: RecordingFacts | None = None
    """What was read of the recording; None: not decoded yet."""
    unheard_seconds: float | None = None
    """How much of it was audible and gave no text, `unheard` in transcript.json; None: not listened to yet."""
    warnings: tuple[str, ...] = ()
    """What its owner should know of the result, in words; empty: nothing is missing."""


class AddWatch(Value):
    """The body of `POST /v1/watches`; `DELETE /v1/watches?path=` takes it back. As `[[watch]]` in config.toml."""

    path: AbsolutePath
    recursive: StrictBool = False
    include: NamePatterns = ()
    exclude: NamePatterns = ()
    polling: StrictBool | None = None
    done: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    failed: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    options: JobOptions = JobOptions()


class Problem(Value):
    """A refusal, as problem+json (RFC 9457)."""

    status: int
    code: str
    detail: str
    hint: str
