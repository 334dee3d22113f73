"""When a worker is ended between jobs: it has grown too large, or was idle for too long (Ollama's keep_alive). Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass

from config.settings import WorkerSettings
from ipc.vocabulary import Role

LINGER_SECONDS = 0.5
"""No worker leaves sooner than this after its last job: the next in line would have it back within milliseconds."""
BYTES_PER_MB = 1_000_000


def keep_alive_seconds(role: Role, settings: WorkerSettings) -> float | None:
    """Seconds without work after which the process ends; 0: with its job; None: never."""
    own = settings.transcriber_keep_alive if role == "transcriber" else settings.aligner_keep_alive
    seconds = settings.keep_alive if own is None else own
    return None if seconds < 0 else seconds


def seconds_until_unload(keep_alive: float | None, idle_since: float, now: float) -> float | None:
    """Seconds from now on, for a worker idle since that moment of the same clock; None: it stays."""
    if keep_alive is None:
        return None
    return max(0.0, idle_since + max(keep_alive, LINGER_SECONDS) - now)


@dataclass(frozen=True, slots=True)
class Growth:
    """What a worker costs now, what it cost when it was ready, and what it may cost, in bytes."""

    now_bytes: int
    when_ready_bytes: int
    limit_bytes: int

    @property
    def is_too_much(self) -> bool:
        return self.now_bytes > self.limit_bytes

    def __str__(self) -> str:
        """`it had grown from 1,620 MB to 5,210 MB; the limit is 4,000 MB`."""
        sizes = (self.when_ready_bytes, self.now_bytes, self.limit_bytes)
        before, now, limit = (f"{size / BYTES_PER_MB:,.0f} MB" for size in sizes)
        return f"it had grown from {before} to {now}; the limit is {limit}"


def memory_limit_bytes(limit_mb: int, machine_bytes: int, when_ready_bytes: int) -> int:
    """The footprint beyond which a worker is replaced between jobs.

    `limit_mb` 0: half of the machine, or twice what the worker cost when it was ready, whichever is more. A model
    that takes more than a quarter of the machine is its owner's choice, and must not be reloaded after every job.
    """
    if limit_mb:
        return limit_mb * BYTES_PER_MB
    return max(machine_bytes // 2, 2 * when_ready_bytes)
