"""When a worker is ended between jobs: its memory grew too large, or it was idle too long (Ollama's keep_alive).
Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass

from config.settings import WorkerSettings
from ipc.vocabulary import Role

LINGER_SECONDS = 0.5
"""The shortest idle time before a worker is unloaded: a queued job may need it again within milliseconds."""
BYTES_PER_MB = 1_000_000


def keep_alive_seconds(role: Role, settings: WorkerSettings) -> float | None:
    """Seconds without work after which the process ends; 0: after each job; None: never."""
    own = settings.transcriber_keep_alive if role == "transcriber" else settings.aligner_keep_alive
    seconds = settings.keep_alive if own is None else own
    return None if seconds < 0 else seconds


def seconds_until_unload(keep_alive: float | None, idle_since: float, now: float) -> float | None:
    """Seconds from `now` until an idle worker is unloaded; None: never. Both times are of one clock."""
    if keep_alive is None:
        return None
    return max(0.0, idle_since + max(keep_alive, LINGER_SECONDS) - now)


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """A worker's memory footprint now and when it became ready, and its limit, in bytes."""

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

    `limit_mb` 0: half of the machine's memory, or twice the worker's footprint when it became ready, whichever is
    more. A user may choose a model that takes more than a quarter of the memory; it must not be reloaded after every
    job.
    """
    if limit_mb:
        return limit_mb * BYTES_PER_MB
    return max(machine_bytes // 2, 2 * when_ready_bytes)
