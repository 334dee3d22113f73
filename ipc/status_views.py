"""The daemon's status over the Unix socket: workers, queue, watched folders, health, findings.

Runs in: supervisor and the user's shell.
"""

from typing import Literal

from ipc.api_messages import JobOptions, JobView
from ipc.transcript import Value
from ipc.vocabulary import FolderState, JobStatus, Role, WhyPassed

WorkerState = Literal["starting", "ready", "busy", "backing_off", "broken", "unloaded", "stopping", "stopped"]


class LastDeath(Value):
    """A worker's last death."""

    signal: str | None
    """`SIGSEGV` …; None: it exited without a signal."""
    exit_code: int | None
    """Negative: the signal that killed it. -11 is SIGSEGV."""
    reason: str
    """As a sentence: `segmentation fault while transcribing`."""
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
    """Why it is not ready, as a sentence: `needs model small: run …`."""
    refusal: str | None = None
    """Why it is not used, as a stable code: `broken` after too many deaths, `needs_model`, `model_damaged` …"""
    footprint_bytes: int | None = None
    load_seconds: float | None = None
    """Seconds from the start of its own code until its model was warm; None: not loaded."""
    written_off: tuple[int, ...] = ()
    """Processes of the role that hang in the kernel and cannot be killed; each was replaced."""


class RunningView(Value):
    """A running job's progress."""

    id: int
    path: str
    status: JobStatus
    phase: str | None
    done_seconds: float
    audio_seconds: float | None
    speed: float | None = None
    """Seconds of audio per second of work, measured so far; None: not enough measured."""
    eta_seconds: float | None = None
    """The remaining seconds; None: not known."""
    share: float | None = None
    """The finished share of the job's work, 0 to 1; never decreases. None: not known."""


class PassedOverView(Value):
    """A file or folder in a watched folder that was skipped, with the reason."""

    path: str
    why: WhyPassed


class WatchView(Value):
    """One watched folder."""

    path: str
    state: FolderState
    recursive: bool
    growing: tuple[str, ...] = ()
    """Files that are still being written; a limited number of them."""
    growing_count: int = 0
    """The count of all."""
    permanent: bool = True
    """False: added over the socket, not by the settings."""
    note: str | None = None
    """Why it is offline, or which permission is missing, as a sentence."""
    polling: bool = False
    """True: scanned at intervals, without events: a network disk, or the user's choice."""
    passed: tuple[PassedOverView, ...] = ()
    """A limited number of them."""
    passed_count: int = 0
    """The count of all."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    done: str | None = None
    failed: str | None = None
    options: JobOptions = JobOptions()
    """The options of its jobs."""


class QueueView(Value):
    """The work that is left."""

    waiting: int
    running: int
    done: int
    failed: int
    paused: bool
    eta_seconds: float | None = None
    """Seconds until all of it is done; None: not known."""


class SpeedView(Value):
    """A model's speed on this machine, measured over its jobs and stored across restarts."""

    role: Role
    engine: str
    model: str
    device: str
    speed: float
    """Seconds of audio per second of work."""
    audio_seconds: float
    """Seconds of audio that this was measured on; older measurements weigh less."""


class DaemonView(Value):
    """The daemon itself."""

    pid: int
    version: str
    uptime_seconds: float


class StatusView(Value):
    """The output of `steno status --json`."""

    daemon: DaemonView
    workers: tuple[WorkerView, ...]
    queue: QueueView
    watches: tuple[WatchView, ...]
    running: tuple[RunningView, ...] = ()
    next_up: tuple[JobView, ...] = ()
    """The next few waiting jobs, oldest first."""
    speeds: tuple[SpeedView, ...] = ()


class CanaryView(Value):
    """The result of a canary: a short recording sent through both workers."""

    healthy: bool
    detail: str
    """`all words timed`, or what went wrong, as a sentence."""
    at: str
    """UTC, ISO 8601."""
    audio_seconds: float
    transcribe_seconds: float | None = None
    align_seconds: float | None = None
    words: int = 0

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work per second of audio; below 1 is faster than real time."""
        if self.transcribe_seconds is None:
            return None
        return (self.transcribe_seconds + (self.align_seconds or 0.0)) / self.audio_seconds


class HealthView(Value):
    """`GET /v1/health`: whether a recording submitted now would be transcribed with word times."""

    healthy: bool
    transcriber: WorkerState
    aligner: WorkerState | None
    """None: no aligner is configured."""
    canary: CanaryView | None = None
    """The last canary; None: there was none yet."""
    reasons: tuple[str, ...] = ()
    """Why it is not healthy, as sentences; empty: it is healthy."""
    warnings: tuple[str, ...] = ()
    """Problems that delay some recordings, or nearly did: a disk that does not answer, a worker that cannot be killed
    …"""


FindingState = Literal["ok", "warning", "broken"]


class Finding(Value):
    """The result of one check of `steno doctor`."""

    check: str
    """Stable, snake_case: `socket_folder`, `watch_folder`, `transcriber_model` …"""
    state: FindingState
    what: str
    """What was found: `/home/me/Transcribe can be read`."""
    why: str = ""
    """Why it matters; empty: nothing is wrong."""
    remedy: str = ""
    """The command or the step that fixes it; empty: nothing is wrong."""


class ReloadView(Value):
    """The result of a reload of the settings."""

    applied: tuple[str, ...]
    """Dotted keys whose new value is in effect."""
    needs_restart: tuple[str, ...]
    """Dotted keys that changed and need a restart of the daemon."""


class Irregularity(Value):
    """A difference between the stored data and the files or other data."""

    check: str
    """Stable, snake_case: `counts`, `result_missing`, `result_changed`, `spool`, `follow_ups` …"""
    state: FindingState
    """`ok`: worth reporting, but nothing is wrong: the user changed a result file."""
    what: str
    job: int | None = None
    repaired: bool = False
    remedy: str = ""
    """What to do about it; empty: nothing."""


class CheckView(Value):
    """The result of `steno check`."""

    jobs: int
    results: int
    """Files that were compared with their stored checksums."""
    irregularities: tuple[Irregularity, ...] = ()

    @property
    def is_whole(self) -> bool:
        return all(one.state == "ok" or one.repaired for one in self.irregularities)
