"""How long a worker without work stays warm, with Ollama's meaning: pure.

Runs in: supervisor.
"""

from config.settings import WorkerSettings
from ipc.worker_messages import Role

LINGER_SECONDS = 0.5
"""No worker leaves sooner than this after its last job: the next in line would have it back within milliseconds."""


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
