"""Every setting: one field, one unit, one sentence. The defaults are the product.

Runs in: every process.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from config.field_types import (
    FOR_EVER,
    Command,
    Folder,
    Folders,
    HostName,
    KeepAlive,
    Language,
    ListenAddress,
    NameTemplate,
    Section,
    WebOrigin,
    WyomingAddress,
)
from config.watch_entry import WatchEntry
from ipc.vocabulary import Format, IfExists, LogLevel, Task, Workflow

__all__ = ["ENGINE_PATH", "FOR_EVER", "Folder", "Section", "Settings", "WatchEntry"]

WhisperBackend = Literal["auto", "mlx", "whisperx", "hybrid"]
AlignmentBackend = Literal["whisperx", "mlx", "same", "none"]
ENGINE_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""What an engine of the owner's own looks like: `package.module:Class`."""
EnginePath = Annotated[str, Field(pattern=ENGINE_PATH)]


class WorkerSettings(Section):
    """What both worker processes share."""

    fallback: bool = True
    """Whether the engine `whisperx` may take over when the transcriber keeps dying on a job or altogether."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of native code in each worker; 0: share the machine's cores between the two."""
    batch_size: int = Field(default=0, ge=0, le=64)
    """Chunks of speech in one batch; 0: the engine's own choice."""
    memory_limit_mb: int = Field(default=0, ge=0)
    """A worker larger than this is replaced between jobs, in MB; 0: half of the machine's memory, or twice what the
    worker needed when it was ready, whichever is more."""
    keep_alive: KeepAlive = FOR_EVER
    """How long a worker without work stays warm: `"10m"`, seconds, 0 ends it after each job, -1 never."""
    transcriber_keep_alive: KeepAlive | None = None
    """The same for the transcriber alone; unset: as keep_alive."""
    aligner_keep_alive: KeepAlive | None = None
    """The same for the aligner alone; unset: as keep_alive."""
    engine_path: Folders = ()
    """Folders that hold engines of your own, last on the worker's module search path; one folder or a list."""


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
    frozen_seconds: float = Field(default=90.0, gt=0)
    """A daemon whose event loop hangs for this long writes down where, and exits; its service restarts it."""


class RestartSettings(Section):
    """How a crashed worker is restarted."""

    first_delay_seconds: float = Field(default=0.25, ge=0)
    """The delay after a second recent crash, doubled with each further one. After a first crash there is none."""
    longest_delay_seconds: float = Field(default=30.0, ge=0)
    """Maximum delay between restarts."""
    deaths_allowed: int = Field(default=5, ge=1)
    """A worker that crashes more often than this within `within_seconds` is broken and stays stopped."""
    within_seconds: float = Field(default=120.0, gt=0)
    """How long a crash counts."""
    calm_seconds: float = Field(default=60.0, ge=0)
    """After this uptime and one finished request, the crash counter is reset."""
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

    formats: tuple[Format, ...] = ("json", "srt")
    """The files of a finished job."""
    folder: Folder | None = None
    """Where they go; unset: beside the recording."""
    name: NameTemplate = "{stem}"
    """What they are called, before the extension: {stem}, {name}, {folder}, {language}, {date}, {time}."""
    if_exists: IfExists = "renew"
    """`renew` replaces what stenod wrote for the same recording, unless it was edited, and nothing else."""
    highlight_words: bool = False
    """Whether VTT files mark each word as it is spoken."""


class QueueSettings(Section):
    """How many jobs are kept, and for how long."""

    most_waiting: int = Field(default=100_000, ge=1)
    """A submit beyond this is refused."""
    keep_finished_days: float = Field(default=90.0, gt=0)
    """Finished jobs older than this are forgotten; their files stay."""


class WatchingSettings(Section):
    """How watched folders are looked at."""

    settle_seconds: float = Field(default=5.0, ge=0)
    """A file is taken once its size and time have not changed for this long."""
    scan_seconds: float = Field(default=30.0, gt=0)
    """How often a folder is read in full, whatever events said."""
    polling_seconds: float = Field(default=10.0, gt=0)
    """The same for a folder without file events: a network disk."""
    unreachable_seconds: float = Field(default=20.0, gt=0)
    """A folder whose reading takes longer counts as offline: a network disk that went away."""


class HookSettings(Section):
    """Commands that are run when a job is over; each gets the job as JSON on stdin. No shell reads them."""

    on_done: Command = ()
    """After its files are safely written. `notify` alone: a notification of the system."""
    on_failed: Command = ()
    """After a job failed."""
    on_degraded: Command = ()
    """After a job was done without all of its words, besides on_done."""
    timeout_seconds: float = Field(default=30.0, gt=0)
    """A command that takes longer is ended, with all it started."""
    tries: int = Field(default=3, ge=1, le=20)
    """How often a command is run until it exits with 0."""


class PowerSettings(Section):
    """What stenod asks of the machine."""

    keep_awake: bool = True
    """Whether the machine stays awake while a job runs, and only then."""


class HealthSettings(Section):
    """The canary: a short recording that is sent through both workers to see that they work."""

    canary_fresh_seconds: float = Field(default=300.0, ge=0)
    """How long one answer of the canary serves everybody who asks."""
    canary_seconds: float = Field(default=120.0, gt=0)
    """The deadline of the canary."""


class HttpSettings(Section):
    """The listener for other programs, off until `listen` is set."""

    listen: ListenAddress | None = None
    """Address and port, as `127.0.0.1:9000`; unset: only the Unix socket. Other computers reach it under an address
    of the local network, with the token that `steno http token` prints. Takes effect at the next start."""
    open_compat: bool = False
    """Whether programs on this computer may use the compatibility endpoints (OpenAI, whisper-asr-webservice) without
    a token: most dictation and subtitle programs cannot send one. Only for a loopback address."""
    hosts: tuple[HostName, ...] = ()
    """Names of this computer that clients may use, as `mini.local`; addresses and `localhost` always work."""
    origins: tuple[WebOrigin, ...] = ()
    """Origins of web pages and apps that may call, as `app://obsidian.md`; all others are refused."""
    keep: KeepAlive = 0.0
    """How long an uploaded recording and its text are kept after the answer: `"0s"` deletes them then, `"1h"` answers
    a repeat of the same upload without transcribing it again, -1 keeps them until `steno forget`."""
    most_upload_mb: int = Field(default=4096, ge=1)
    """The largest recording that is taken."""
    most_uploads: int = Field(default=32, ge=1, le=1000)
    """Recordings that may be uploaded at the same time; a further one is asked to retry."""


class WyomingSettings(Section):
    """The listener for Home Assistant, off until `listen` is set."""

    listen: WyomingAddress | None = None
    """As `tcp://127.0.0.1:10300`. The protocol has no token: every program that reaches the address can use it. Takes
    effect at the next start."""
    announce: bool = False
    """Whether Home Assistant finds it in the local network (zeroconf); only for an address of that network."""
    most_audio_seconds: float = Field(default=600.0, gt=0)
    """The longest command that is taken."""


class LogSettings(Section):
    """What is written down about the daemon itself; never transcript text."""

    level: LogLevel = "info"
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
    language: Language | None = None
    """ISO 639-1 code of what is spoken; unset: found by listening."""
    task: Task = "transcribe"
    """`translate` writes English whatever is spoken."""
    workflow: Workflow = "subtitle"
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
    watching: WatchingSettings = WatchingSettings()
    hooks: HookSettings = HookSettings()
    health: HealthSettings = HealthSettings()
    power: PowerSettings = PowerSettings()
    logs: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    wyoming: WyomingSettings = WyomingSettings()

    replacements: dict[str, str] = Field(default_factory=dict)
    """Written words → words to write instead, after transcription: names the model keeps getting wrong."""
    watch: tuple[WatchEntry, ...] = Field(
        default_factory=lambda: (WatchEntry(path=Path("~/Transcribe")),), validate_default=True
    )
    """The watched folders, one `[[watch]]` each; without any, `~/Transcribe`, which is created when missing."""
