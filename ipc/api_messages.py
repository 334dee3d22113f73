"""Messages over the Unix socket: requests, and the replies that scripts rely on.

Runs in: supervisor and the user's shell.
"""

from typing import Annotated

from pydantic import Field, StrictBool

from ipc.transcript import RecordingFacts, TranscriptTiming, Value
from ipc.vocabulary import Format, IfExists, JobStatus, Outcome, Priority, Role, Task, Workflow

# These patterns are only documentation: the daemon validates the values itself, with clearer error messages.
NulFreeText = Annotated[str, Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]
"""A path or a process argument cannot contain a NUL."""
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
"""Same syntax as the setting output.name."""
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
"""A pattern for names, relative to the watched folder: `*.m4a`, `meetings/*`."""
NamePatterns = Annotated[tuple[NamePattern, ...], Field(max_length=100)]
"""Every scan of the folder tries each pattern with each file."""


class JobOptions(Value):
    """The options of one job. None: the value of the settings."""

    workflow: Workflow | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639-1. None, without a setting: detected from the audio."""
    task: Task | None = None
    prompt: NulFreeText | None = Field(default=None, max_length=4000)
    formats: tuple[Format, ...] | None = Field(default=None, min_length=1)
    output_dir: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    """Absolute, or, for a watched folder, relative to it; None: beside the recording."""
    if_exists: IfExists | None = None
    highlight_words: StrictBool | None = None
    model: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    """The transcriber's model: a name, a hub id, a folder or `starter`."""
    replacements: Replacements | None = None
    """Added to those of the settings."""
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
    """One try of a worker at the job, and its outcome."""

    role: Role
    engine: str
    outcome: Outcome
    signal: str | None = None
    """The signal that killed the worker, such as `SIGSEGV`; None: no signal."""
    phase: str | None = None
    """The worker's phase at its death."""
    done_seconds: float | None = None
    """Seconds of the recording that were transcribed and stored by then; None: older than this field."""
    at: str | None = None
    """When it ended; UTC, ISO 8601."""
    unkillable: bool = False
    """True: the worker hung in the kernel and could not be killed. The recording is not known to be the cause."""


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
    """Why it waits, as a sentence."""
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
    """The watched folder that it came from; None: it was submitted."""
    priority: Priority = "normal"
    recording: RecordingFacts | None = None
    """What was decoded of the recording; None: not decoded yet."""
    unheard_seconds: float | None = None
    """Seconds that are audible but gave no text, `unheard` in transcript.json; None: not transcribed yet."""
    warnings: tuple[str, ...] = ()
    """What the user should know about the result, as sentences; empty: nothing is missing."""


class AddWatch(Value):
    """The body of `POST /v1/watches`; `DELETE /v1/watches?path=` removes it. Same fields as `[[watch]]` in
    config.toml."""

    path: AbsolutePath
    recursive: StrictBool = False
    include: NamePatterns = ()
    exclude: NamePatterns = ()
    polling: StrictBool | None = None
    done: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    failed: NulFreeText | None = Field(default=None, min_length=1, max_length=4096)
    options: JobOptions = JobOptions()


class Problem(Value):
    """An error response, as problem+json (RFC 9457)."""

    status: int
    code: str
    detail: str
    hint: str
