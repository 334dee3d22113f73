"""What crosses the pipe between the supervisor and a worker.

Runs in: supervisor and worker.

One request is in progress at a time. A request is answered by any number of `Progress`, `LanguageFound` and
`SegmentsTranscribed`, and then by exactly one final reply: `AudioDecoded`, `TranscriptionFinished`,
`WordsAligned` or `RequestFailed`. A worker that ends before the final reply has died, whatever its exit code.
`CachesReleased` follows, and belongs to no request.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ipc.transcript import FORGETFUL, RecordingFacts, Segment, Unheard, Value, Word
from ipc.vocabulary import Phase, Role, Task

FRAME_LIMIT_BYTES = 16 * 1024 * 1024
"""A longer frame is a broken peer, not a message."""


class WorkerSetup(Value):
    """All that a worker is told at birth."""

    role: Role
    engine: str
    """The engine's short name: `mlx`, `whisperx`, or the import path of the owner's own."""
    engine_path: str
    """Import path of the engine's class, `package.module:Class`."""
    engine_folders: tuple[str, ...] = ()
    """Folders that hold engines of the owner's own, absolute; last on sys.path."""
    model: str | None = None
    """A known name, a hub id, a folder or `starter`; None is the engine's default."""
    language: str | None = None
    """The language expected most, so that its alignment model can be warm; None: unknown."""
    threads: int = 0
    """Threads for the engine's native code; 0 leaves it to the library."""
    batch_size: int = 0
    """Chunks in one call of the engine; 0 leaves it to the engine."""
    models_folder: str
    """Where converted and unpacked models are kept. Absolute."""
    allow_download: bool = False
    """Whether a missing model may be fetched from the hub."""
    stuck_after_seconds: float = 150.0
    """The self-watchdog ends the process after this long without progress (GIL held or not)."""
    stuck_loading_after_seconds: float = 150.0
    """The same while loading, where an import is one long step."""
    log_level: str = "info"
    log_json: bool = True
    log_file: str | None = None
    """Where events go besides stderr."""
    log_quiet: bool = False
    """Events go to the file alone."""


# --- supervisor → worker -----------------------------------------------------------------------------------


class ExpectedFile(Value):
    """Which file the supervisor checked: the worker proves by `fstat` that it reads the same one."""

    device: int
    inode: int
    """0: not known, as on disks where it does not hold."""
    size: int
    mtime_ns: int


class Decode(Value):
    """Turn a recording into 16 kHz mono s16 PCM on disk. Answered by `AudioDecoded`. Any role can do it."""

    kind: Literal["decode"] = "decode"
    request_id: int
    path: str
    """The recording: absolute, a regular file, untrusted."""
    pcm_path: str
    """Where the PCM goes. Written under another name and renamed when whole; an existing file is used as it is."""
    longest_seconds: float
    """A recording that lasts longer is refused, before and while decoding."""
    expected: ExpectedFile | None = None
    """What was checked; another file behind the path is refused as `changed_while_read`. None: anything will do."""
    beneath: str | None = None
    """A watched folder: no step of the path below it may be a symbolic link. None: the path was handed over."""
    track: int | None = Field(default=None, ge=1)
    """Which sound track to take, counted from 1; None: chosen by language, default flag and what is heard."""
    language: str | None = None
    """The job's language, where it is known: it chooses among tracks."""
    disk_seconds: float = 20.0
    """A disk that lets the recording's opening or one read wait for this long does not answer."""


class Transcribe(Value):
    """Find speech in decoded audio and write it down. Answered by `TranscriptionFinished`."""

    kind: Literal["transcribe"] = "transcribe"
    request_id: int
    pcm_path: str
    language: str | None = None
    """None: the worker finds out and says so with `LanguageFound` before the first segments."""
    task: Task = "transcribe"
    prompt: str | None = None
    """Names and spellings the model should know."""
    start_at_seconds: float = 0.0
    """Everything before was transcribed earlier; the worker begins here."""
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
    """Give up the request in progress soon; it is answered by `RequestFailed` with code `cancelled`."""

    kind: Literal["cancel"] = "cancel"
    request_id: int


class Pause(Value):
    """Something more urgent waits: stop at the next border, after a batch or while decoding, and answer `Paused`.

    What is needed to continue is kept until the request comes again. Without effect on alignment, which is short.
    """

    kind: Literal["pause"] = "pause"
    request_id: int


class Forget(Value):
    """What is paused on this PCM will not be continued. Not answered."""

    kind: Literal["forget"] = "forget"
    pcm_path: str


class Stop(Value):
    """Leave. The worker exits with code 0 and says nothing more."""

    kind: Literal["stop"] = "stop"


# --- worker → supervisor -----------------------------------------------------------------------------------


class Ready(Value):
    """The model is loaded and warm; only now may requests be sent."""

    kind: Literal["ready"] = "ready"
    engine: str
    model: str
    """What was loaded, as a person would name it."""
    device: str
    """Where it computes: `metal`, `cpu`, `cuda`."""
    load_seconds: float
    versions: dict[str, str] = Field(default_factory=dict)
    """Package → version of what does the work."""
    footprint_bytes: int = 0
    """The worker's memory with the model in it and nothing done yet."""


class LoadFailed(Value):
    """The worker is alive but has no engine (missing model, wrong hash). It exits after this; no crash."""

    kind: Literal["load_failed"] = "load_failed"
    code: str
    message: str
    hint: str


class Progress(Value):
    """A step forward. Re-arms the no-progress deadline."""

    kind: Literal["progress"] = "progress"
    request_id: int | None
    """None while loading."""
    phase: Phase
    done_seconds: float = 0.0
    """Seconds of audio behind us in this phase."""
    footprint_bytes: int = 0
    """The worker's memory as psutil measures it."""


class CachesReleased(Value):
    """Caches are given back. Comes some time after each final reply, when the next request may already be sent."""

    kind: Literal["rested"] = "rested"
    footprint_bytes: int
    """What the worker costs while it waits."""


class AudioDecoded(Value):
    """The PCM is whole and on disk."""

    kind: Literal["audio_decoded"] = "audio_decoded"
    request_id: int
    seconds: float
    recording: RecordingFacts | None = None
    """None: the PCM was there already and the recording was not read."""


class LanguageFound(Value):
    """What is spoken, heard in the first speech of the recording."""

    kind: Literal["language_found"] = "language_found"
    request_id: int
    language: str
    probability: float


class SegmentsTranscribed(Value):
    """A chunk or a batch of chunks is done. `segments` may be empty: speech that turned out to be none."""

    kind: Literal["segments_transcribed"] = "segments_transcribed"
    request_id: int
    segments: tuple[Segment, ...]
    unheard: tuple[Unheard, ...] = ()
    """What was audible in these chunks and gave no text, in order."""
    done_seconds: float
    """Nothing before this has to be heard again: where a fresh worker resumes."""


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
    """Asked to by `Pause`: all that is done has been sent, and the same request from there on continues it."""

    kind: Literal["paused"] = "paused"
    request_id: int


class RequestFailed(Value):
    """The request cannot be done; the worker is well and ready for the next."""

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
