"""Workers that could not load for lack of a model look for it again as soon as it is there.

Runs in: the user's shell. Stands alone: a verb loads it only when it is called.
"""

from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon, Refusal
from ipc.status_views import WorkerView
from ipc.worker_messages import Role

OVER_ITS_MODEL = frozenset({"needs_model", "model_damaged", "unknown_model"})
"""Codes of refusals that a fetched model may be the end of. What people read tells nothing: a worker that crashes
while it loads says `model` too."""


def wake(daemon: DaemonClient) -> tuple[Role, ...]:
    """The roles that were told to try again now. Without a daemon no worker waits."""
    woken: list[Role] = []
    with daemon:
        try:
            for worker in daemon.status().workers:
                if waits_for_model(worker):
                    daemon.restart(worker.role)
                    woken.append(worker.role)
        except (NoDaemon, Refusal):
            pass  # It retries on its own before long; the models are there in any case.
    return tuple(woken)


def waits_for_model(worker: WorkerView) -> bool:
    """Whether it refused to load because of its model, rather than crashed."""
    return worker.state == "broken" and worker.refusal in OVER_ITS_MODEL
