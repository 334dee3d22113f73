"""Server-sent events from the daemon to its clients.

Runs in: supervisor and the user's shell.
"""

from typing import Literal

from ipc.api_messages import JobView
from ipc.status_views import RunningView, WorkerView
from ipc.transcript import Value


class JobChanged(Value):
    """A job changed."""

    kind: Literal["job"] = "job"
    job: JobView


class JobProgressed(Value):
    """A running job made progress."""

    kind: Literal["progress"] = "progress"
    running: RunningView


class WorkerChanged(Value):
    """A worker changed state."""

    kind: Literal["worker"] = "worker"
    worker: WorkerView


class QueuePaused(Value):
    """The queue was paused or resumed."""

    kind: Literal["queue"] = "queue"
    paused: bool


DaemonEvent = JobChanged | JobProgressed | WorkerChanged | QueuePaused
