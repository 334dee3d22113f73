"""Following jobs to their end by the daemon's events, through a restart of the daemon if need be.

Runs in: the user's shell.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon
from ipc.api_messages import JobView
from ipc.events import DaemonEvent, JobChanged, JobProgressed
from ipc.vocabulary import FINISHED

PATIENCE_SECONDS = 60.0
"""How long a daemon that was there may be away: a service manager brings it back within ten."""
BETWEEN_TRIES_SECONDS = 0.5

Heard = Callable[[DaemonEvent], None]


def follow(
    daemon: DaemonClient,
    job_ids: Iterable[int],
    heard: Heard,
    patience_seconds: float = PATIENCE_SECONDS,
    lost: Callable[[NoDaemon], None] = lambda gone: None,
) -> Iterator[JobView]:
    """Each job once it is finished, in the order in which they finish. `heard` gets every event on the way.

    `lost` is called again and again while the daemon is away; the next event means that it is back.

    Raises Refusal for a job that does not exist, NoDaemon when the daemon is away for longer than its patience.
    """
    pending = set(job_ids)
    last_seen: float | None = None
    while pending:
        try:
            for event in _since_now(daemon, sorted(pending)):
                last_seen = time.monotonic()
                heard(event)
                if isinstance(event, JobChanged) and event.job.id in pending and event.job.status in FINISHED:
                    pending.discard(event.job.id)
                    yield event.job
                    if not pending:
                        return
        except NoDaemon as gone:
            if last_seen is None or time.monotonic() - last_seen > patience_seconds:
                raise
            lost(gone)
        # Nothing wakes us when a socket appears; a stream that ended has its daemon stopping.
        time.sleep(BETWEEN_TRIES_SECONDS)


def _since_now(daemon: DaemonClient, job_ids: list[int]) -> Iterator[DaemonEvent]:
    """The state of the jobs, then all events: subscribed first, so that none is missed."""
    with daemon.events() as events:
        for job_id in job_ids:
            yield JobChanged(job=daemon.job(job_id))
        # The next step may be half a minute away.
        yield from (JobProgressed(running=job) for job in daemon.status().running if job.id in job_ids)
        yield from events
