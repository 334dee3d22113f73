"""What the daemon tells those who listen: server-sent events.

Runs in: supervisor and the user's shell.
"""

from typing import Literal

from ipc.api_messages import JobView
from ipc.status_views import RunningView, WorkerView
from ipc.transcript import Value


class JobChanged(Value):
    """A server-sent event: a job moved."""

    kind: Literal["job"] = "job"
    job: JobView


class JobProgressed(Value):
    """A server-sent event: a running job came a step further."""

    kind: Literal["progress"] = "progress"
    running: RunningView


class WorkerChanged(Value):
    """A server-sent event: a worker changed state."""

    kind: Literal["worker"] = "worker"
    worker: WorkerView


class QueuePaused(Value):
    """A server-sent event: the queue was paused or resumed."""

    kind: Literal["queue"] = "queue"
    paused: bool


DaemonEvent = JobChanged | JobProgressed | WorkerChanged | QueuePaused
