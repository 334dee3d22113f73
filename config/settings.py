"""Every setting: one field, one unit, one sentence. The defaults are the product.

Runs in: every process.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

WhisperBackend = Literal["auto", "mlx", "whisperx", "hybrid"]
AlignmentBackend = Literal["whisperx", "mlx", "same", "none"]
ENGINE_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""What somebody's own engine looks like: `package.module:Class`."""
EnginePath = Annotated[str, Field(pattern=ENGINE_PATH)]


def _absolute(folder: Path) -> Path:
    try:
        folder = folder.expanduser()
    except RuntimeError as unknown_user:
        raise ValueError(f"{folder}: {unknown_user}") from unknown_user
    if not folder.is_absolute():
        raise ValueError("a folder starts with / or ~: a daemon has no folder of its own to start from")
    return folder


Folder = Annotated[Path, AfterValidator(_absolute)]
"""Absolute once checked; `~` is the home of who runs the daemon."""


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WorkerSettings(Section):
    """What both worker processes share."""

    fallback: bool = True
    """Whether the engine `whisperx` may take over when the transcriber keeps dying on a job or altogether."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of native code in each worker; 0: share the machine's cores between the two."""
    batch_size: int = Field(default=0, ge=0, le=64)
    """Chunks of speech decoded at once; 0: the engine's own choice."""
    memory_limit_mb: int = Field(default=0, ge=0)
    """A worker larger than this is replaced between jobs, in MB; 0: no limit."""
    idle_unload_seconds: float = Field(default=0.0, ge=0)
    """A worker without work for so long ends and comes back with the next job; 0: stays warm for ever."""


class DeadlineSettings(Section):
    """How long anything may take before it counts as hung, in seconds."""

    boot_seconds: float = Field(default=120.0, gt=0)
    """From spawn to the worker's `Ready`, downloads apart."""
    progress_seconds: float = Field(default=120.0, gt=0)
    """Between two steps forward of a request."""
    transcription_least_seconds: float = Field(default=600.0, gt=0)
    """A transcription never has less than this."""
    transcription_factor: float = Field(default=4.0, gt=0)
    """… nor less than this many times the recording's length."""
    alignment_seconds: float = Field(default=300.0, gt=0)
    """One batch of segments at the aligner."""
    decoding_seconds: float = Field(default=1800.0, gt=0)
    """Turning one recording into PCM."""
    cancel_seconds: float = Field(default=5.0, gt=0)
    """From a cancel to the worker's answer; after that it is replaced."""
    stop_seconds: float = Field(default=4.0, gt=0)
    """From the polite stop of a worker to SIGKILL, half of it for SIGTERM."""


class RestartSettings(Section):
    """How a worker that dies comes back."""

    first_delay_seconds: float = Field(default=0.25, ge=0)
    """Wait before the first restart; doubles with each recent death."""
    longest_delay_seconds: float = Field(default=30.0, ge=0)
    """Where the doubling ends."""
    deaths_allowed: int = Field(default=5, ge=1)
    """More deaths than this within `within_seconds` and the worker is broken: it rests."""
    within_seconds: float = Field(default=120.0, gt=0)
    """How long a death counts."""
    calm_seconds: float = Field(default=60.0, ge=0)
    """A worker alive for so long, with a finished request, has its deaths forgiven."""
    probe_seconds: float = Field(default=60.0, gt=0)
    """How often a broken worker is tried again."""


class CrashSettings(Section):
    """What one job may cost."""

    transcriber_crashes_allowed: int = Field(default=2, ge=0)
    """Transcriber deaths a job survives; the last of them on the fallback engine. One more: quarantined."""
    aligner_restarts_allowed: int = Field(default=4, ge=0)
    """Aligner deaths a job may cause; after that the rest of its segments keep segment times."""


class MediaSettings(Section):
    """Which recordings are taken."""

    longest_hours: float = Field(default=12.0, gt=0)
    """A longer recording is refused before it is decoded."""
    free_disk_floor_mb: int = Field(default=500, ge=0)
    """A job waits rather than fill the disk below this, in MB."""


class OutputSettings(Section):
    """What is written, and where."""

    formats: tuple[Literal["json", "srt", "vtt", "txt", "tsv", "md"], ...] = ("json", "srt")
    """The files of a finished job."""
    folder: Folder | None = None
    """Where they go; unset: beside the recording."""
    if_exists: Literal["renew", "skip", "overwrite", "suffix"] = "renew"
    """`renew` replaces what stenod wrote for the same recording and nobody edited, and never anything else."""
    highlight_words: bool = False
    """Whether VTT files mark each word as it is spoken."""


class QueueSettings(Section):
    """How many jobs are kept, and for how long."""

    most_waiting: int = Field(default=100_000, ge=1)
    """A submit beyond this is refused."""
    keep_finished_days: float = Field(default=90.0, gt=0)
    """Finished jobs older than this are forgotten; their files stay."""


class WatchSettings(Section):
    """The folders whose recordings are transcribed without being asked."""

    folders: tuple[Folder, ...] = Field(default=(Path("~/Transcribe"),), validate_default=True)
    """Watched from the start; `~/Transcribe` itself is created when missing, any other is waited for."""
    recursive: bool = False
    """Whether folders within them count."""
    settle_seconds: float = Field(default=5.0, ge=0)
    """A file is taken once its size and time have not changed for so long."""
    scan_seconds: float = Field(default=30.0, gt=0)
    """How often the folder is read in full, whatever events said."""
    unreachable_seconds: float = Field(default=20.0, gt=0)
    """A folder whose reading takes longer counts as offline: a network disk that went away."""


class LogSettings(Section):
    """What is written down about the daemon itself; never transcript text."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important event that is kept."""


class Settings(Section):
    """Everything an owner may set, merged and checked."""

    whisper_backend: WhisperBackend | EnginePath = Field(default="auto", union_mode="left_to_right")
    """`mlx`, `whisperx`, `hybrid` (mlx transcribes, whisperx aligns), `auto` (mlx on Apple silicon, whisperx
    elsewhere), or the import path of your own engine."""
    alignment_backend: AlignmentBackend | EnginePath = Field(default="whisperx", union_mode="left_to_right")
    """`whisperx`, `mlx`, `same` as the transcriber, `none`, or the import path of your own engine."""
    model: str | None = None
    """What the transcriber loads: a name, a hub id, a folder or `starter`; unset: large-v3-turbo or small."""
    fallback_model: str | None = None
    """What the fallback engine loads; unset: `starter` if the model is that, else the engine's default."""
    alignment_model: str | None = None
    """What the aligner loads; unset: WhisperX's choice for the language, or the transcriber's model for mlx."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639-1 code of what is spoken; unset: found by listening."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate` writes English whatever is spoken."""
    workflow: Literal["transcribe", "subtitle"] = "subtitle"
    """`subtitle` wants words with times, `transcribe` does without."""
    prompt: str | None = None
    """Names and spellings the model should know."""
    allow_download: bool = True
    """Whether a missing model may be fetched from the hub."""

    workers: WorkerSettings = WorkerSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    restarts: RestartSettings = RestartSettings()
    crashes: CrashSettings = CrashSettings()
    media: MediaSettings = MediaSettings()
    output: OutputSettings = OutputSettings()
    queue: QueueSettings = QueueSettings()
    watch: WatchSettings = Field(default_factory=WatchSettings)
    logs: LogSettings = LogSettings()
