"""Messages over the pipe between the supervisor and a worker.

Runs in: supervisor and worker.

One request is in progress at a time. A request is answered by any number of `Progress`, `LanguageFound` and
`SegmentsTranscribed`, and then by exactly one final reply: `AudioDecoded`, `TranscriptionFinished`, `WordsAligned` or
`RequestFailed`. A worker that exits before the final reply has crashed, whatever its exit code. `CachesReleased`
comes later and belongs to no request.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ipc.transcript import FORGETFUL, RecordingFacts, Segment, Unheard, Value, Word
from ipc.vocabulary import Phase, Role, Task

FRAME_LIMIT_BYTES = 16 * 1024 * 1024
"""A longer frame means that the peer is broken."""


class WorkerSetup(Value):
    """The settings that a worker gets at its start."""

    role: Role
    engine: str
    """The engine's short name: `mlx`, `whisperx`, or the import path of the user's own engine."""
    engine_path: str
    """Import path of the engine's class, `package.module:Class`."""
    engine_folders: tuple[str, ...] = ()
    """Folders with the user's own engines, absolute; last on sys.path."""
    model: str | None = None
    """A known name, a hub id, a folder or `starter`; None: the engine's default."""
    language: str | None = None
    """The most likely language, whose alignment model is loaded at the start; None: unknown."""
    threads: int = 0
    """Threads of the engine's native code; 0: the library's default."""
    batch_size: int = 0
    """Chunks in one call of the engine; 0: the engine's default."""
    models_folder: str
    """The folder of converted and unpacked models. Absolute."""
    allow_download: bool = False
    """Whether a missing model may be downloaded from the hub."""
    stuck_after_seconds: float = 150.0
    """The self-watchdog ends the process after this long without progress (GIL held or not)."""
    stuck_loading_after_seconds: float = 150.0
    """The same while loading: a single import can take long."""
    log_level: str = "info"
    log_json: bool = True
    log_file: str | None = None
    """The log file besides stderr."""
    log_quiet: bool = False
    """True: log only to the file."""


# --- supervisor → worker -----------------------------------------------------------------------------------


class ExpectedFile(Value):
    """The file that the supervisor checked: the worker compares it with `fstat` of the file that it opened."""

    device: int
    inode: int
    """0: not known, as on disks without stable inode numbers."""
    size: int
    mtime_ns: int


class Decode(Value):
    """Turn a recording into 16 kHz mono s16 PCM on disk. Answered by `AudioDecoded`. Any role can do it."""

    kind: Literal["decode"] = "decode"
    request_id: int
    path: str
    """The recording: absolute, a regular file, untrusted."""
    pcm_path: str
    """The path of the PCM. Written under another name and renamed when complete; an existing file is reused."""
    longest_seconds: float
    """A recording that lasts longer is refused, before and while decoding."""
    expected: ExpectedFile | None = None
    """The checked file; any other file at the path is refused as `changed_while_read`. None: any file is accepted."""
    beneath: str | None = None
    """A watched folder: no part of the path below it may be a symbolic link. None: the path was submitted."""
    track: int | None = Field(default=None, ge=1)
    """The sound track, counted from 1; None: chosen by language, default flag and content."""
    language: str | None = None
    """The job's language, used to choose a track; None: not known."""
    disk_seconds: float = 20.0
    """Deadline for opening the recording and for each read: after it the disk counts as not answering."""


class Transcribe(Value):
    """Find speech in decoded audio and transcribe it. Answered by `TranscriptionFinished`."""

    kind: Literal["transcribe"] = "transcribe"
    request_id: int
    pcm_path: str
    language: str | None = None
    """None: the worker detects it and sends `LanguageFound` before the first segments."""
    task: Task = "transcribe"
    prompt: str | None = None
    """Names and spellings for the model."""
    start_at_seconds: float = 0.0
    """Everything before was transcribed earlier; the worker starts here."""
    first_segment_id: int = 0
    """The id of the next segment."""


class Align(Value):
    """Find the times of words that are already known. Answered by `WordsAligned`."""

    kind: Literal["align"] = "align"
    request_id: int
    pcm_path: str
    language: str
    segments: tuple[Segment, ...]


class Cancel(Value):
    """Cancel the request in progress; it is answered by `RequestFailed` with code `cancelled`."""

    kind: Literal["cancel"] = "cancel"
    request_id: int


class Pause(Value):
    """A more urgent request waits: stop after the current batch, or while decoding, and answer `Paused`.

    The worker keeps the state needed to continue until the request comes again. No effect on alignment, which is
    short.
    """

    kind: Literal["pause"] = "pause"
    request_id: int


class Forget(Value):
    """The request paused on this PCM will not be continued: drop its state. Not answered."""

    kind: Literal["forget"] = "forget"
    pcm_path: str


class Stop(Value):
    """Exit. The worker exits with code 0 and sends nothing more."""

    kind: Literal["stop"] = "stop"


# --- worker → supervisor -----------------------------------------------------------------------------------


class Ready(Value):
    """The model is loaded and warm; only now may requests be sent."""

    kind: Literal["ready"] = "ready"
    engine: str
    model: str
    """The loaded model's name for people."""
    device: str
    """The device it computes on: `metal`, `cpu`, `cuda`."""
    load_seconds: float
    versions: dict[str, str] = Field(default_factory=dict)
    """Package → version of the libraries in use."""
    footprint_bytes: int = 0
    """The worker's memory with the model loaded, before any request."""


class LoadFailed(Value):
    """The worker is alive but has no engine (missing model, wrong hash). It exits after this; no crash."""

    kind: Literal["load_failed"] = "load_failed"
    code: str
    message: str
    hint: str


class Progress(Value):
    """The request made progress. Restarts the no-progress deadline."""

    kind: Literal["progress"] = "progress"
    request_id: int | None
    """None: loading."""
    phase: Phase
    done_seconds: float = 0.0
    """Seconds of audio finished in this phase."""
    footprint_bytes: int = 0
    """The worker's memory as psutil measures it."""


class CachesReleased(Value):
    """The worker has freed its caches. Sent some time after each final reply; the next request may already be
    sent."""

    kind: Literal["rested"] = "rested"
    footprint_bytes: int
    """The worker's memory while it waits."""


class AudioDecoded(Value):
    """The PCM is complete and on the disk."""

    kind: Literal["audio_decoded"] = "audio_decoded"
    request_id: int
    seconds: float
    recording: RecordingFacts | None = None
    """None: the PCM existed already and the recording was not read."""


class LanguageFound(Value):
    """The spoken language, detected in the first speech of the recording."""

    kind: Literal["language_found"] = "language_found"
    request_id: int
    language: str
    probability: float


class SegmentsTranscribed(Value):
    """A chunk or a batch of chunks is done. `segments` may be empty: what the VAD took for speech was none."""

    kind: Literal["segments_transcribed"] = "segments_transcribed"
    request_id: int
    segments: tuple[Segment, ...]
    unheard: tuple[Unheard, ...] = ()
    """The audible ranges of these chunks without text, in order."""
    done_seconds: float
    """Everything before this is finished: a new worker resumes here."""


class TranscriptionFinished(Value):
    """All speech has been sent."""

    kind: Literal["transcription_finished"] = "transcription_finished"
    request_id: int
    speech_seconds: float
    """Seconds of speech found from `start_at_seconds` on."""


class WordsAligned(Value):
    """Word times for the segments of one `Align`."""

    kind: Literal["words_aligned"] = "words_aligned"
    request_id: int
    words: dict[int, tuple[Word, ...]]
    """Segment id → its words. A segment that could not be aligned is absent."""


class Paused(Value):
    """The reply to `Pause`: all finished results were sent; the same request, starting there, continues it."""

    kind: Literal["paused"] = "paused"
    request_id: int


class RequestFailed(Value):
    """The request failed; the worker is ready for the next one."""

    kind: Literal["request_failed"] = "request_failed"
    request_id: int
    code: str
    """Stable: `cancelled`, `not_media`, `too_long`, `no_audio`, `no_alignment_model:xx`, `cannot_translate` …"""
    message: str
    hint: str


Request = Decode | Transcribe | Align
ToWorker = Request | Cancel | Pause | Forget | Stop
FinalReply = AudioDecoded | TranscriptionFinished | WordsAligned | Paused | RequestFailed
FromWorker = Ready | LoadFailed | CachesReleased | Progress | LanguageFound | SegmentsTranscribed | FinalReply

TO_WORKER: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="kind")], config=FORGETFUL)
FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(
    Annotated[FromWorker, Field(discriminator="kind")], config=FORGETFUL
)
