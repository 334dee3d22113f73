"""What the daemon says about itself over the Unix socket: workers, queue, watched folders, health, findings.

Runs in: supervisor and the user's shell.
"""

from typing import Literal

from ipc.api_messages import JobOptions, JobView
from ipc.transcript import Value
from ipc.vocabulary import FolderState, JobStatus, Role, WhyPassed

WorkerState = Literal["starting", "ready", "busy", "backing_off", "broken", "unloaded", "stopping", "stopped"]


class LastDeath(Value):
    """How a worker last ended unasked."""

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
    refusal: str | None = None
    """Why it is not used, as a stable code: `broken` after too many deaths, `needs_model`, `model_damaged` …"""
    footprint_bytes: int | None = None
    load_seconds: float | None = None
    """How long it took from its first own line of code until its model was warm; None: not loaded."""
    written_off: tuple[int, ...] = ()
    """Processes of the role that hang in the kernel and cannot be killed; another took the place of each."""


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
    """How long the job will still take; None: not known."""
    share: float | None = None
    """How much of the job's work is behind it, 0 to 1; never goes back. None: not known."""


class PassedOverView(Value):
    """Something in a watched folder that would have been taken but for a reason."""

    path: str
    why: WhyPassed


class WatchView(Value):
    """One watched folder."""

    path: str
    state: FolderState
    recursive: bool
    growing: tuple[str, ...] = ()
    """Files that are still being written; of many only some."""
    growing_count: int = 0
    """How many there are."""
    permanent: bool = True
    """False: added over the socket, not by the settings."""
    note: str | None = None
    """Why it is offline, or what has to be permitted, in words."""
    polling: bool = False
    """Looked at by the clock alone: a network disk, or by the owner's choice."""
    passed: tuple[PassedOverView, ...] = ()
    """Of many only some."""
    passed_count: int = 0
    """How many there are."""
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
    eta_seconds: float | None = None
    """How long all of it will take; None: not known."""


class SpeedView(Value):
    """How fast one model was on this machine, measured over its jobs and kept across restarts."""

    role: Role
    engine: str
    model: str
    device: str
    speed: float
    """Seconds of audio for each second of work."""
    audio_seconds: float
    """How much audio that was measured on; the older, the less it counts."""


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
    next_up: tuple[JobView, ...] = ()
    """The waiting jobs whose turn comes next, oldest first; a few of them."""
    speeds: tuple[SpeedView, ...] = ()


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
    reasons: tuple[str, ...] = ()
    """Why it is not healthy, in words; empty where it is."""
    warnings: tuple[str, ...] = ()
    """What holds up some recordings, or nearly did: a disk that does not answer, a worker that cannot be killed …"""


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
    """The command or the step that fixes it; empty where all is well."""


class ReloadView(Value):
    """What came of reading the settings again."""

    applied: tuple[str, ...]
    """Dotted keys whose new value holds from now on."""
    needs_restart: tuple[str, ...]
    """Dotted keys that changed and hold only after the daemon was started again."""


class Irregularity(Value):
    """Something that is stored otherwise than it is."""

    check: str
    """Stable, snake_case: `counts`, `result_missing`, `result_changed`, `spool`, `follow_ups` …"""
    state: FindingState
    """`ok`: worth telling, and nothing wrong: the owner changed a result of his own."""
    what: str
    job: int | None = None
    repaired: bool = False
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""


class CheckView(Value):
    """What `steno check` found."""

    jobs: int
    results: int
    """Files that were held against their stored hashes."""
    irregularities: tuple[Irregularity, ...] = ()

    @property
    def is_whole(self) -> bool:
        return all(one.state == "ok" or one.repaired for one in self.irregularities)
