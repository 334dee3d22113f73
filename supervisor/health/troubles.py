"""Current and recent problems, for `steno doctor` and `GET /v1/health`.

Runs in: supervisor.
"""

from collections.abc import Callable, Iterator, Sequence
from shlex import quote

from config.places import Places
from ipc.status_views import Finding, WorkerView
from supervisor.disks.foreign_disks import SilentDisk, disks
from supervisor.jobs.probation import Probation
from supervisor.system.clock import iso_time
from supervisor.system.event_loop import freeze_report, last_freeze
from supervisor.worker.child_process import MOST_WRITTEN_OFF


class Troubles:
    """Computed for each request; accesses no disk but that of our own logs."""

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerView]],
        probation: Probation,
        places: Places,
    ) -> None:
        self._workers = workers
        self._probation = probation
        self._own_folders = (places.state, places.spool, places.logs)
        self._freeze_report = freeze_report(places)
        self._frozen_at = last_freeze(self._freeze_report)

    def findings(self) -> list[Finding]:
        """All current problems; empty if there are none. `broken`: a job submitted now would not succeed."""
        return [*self._disks(), *self._written_off(), *self._suspects(), *self._put_back(), *self._freeze()]

    def _disks(self) -> Iterator[Finding]:
        for silent in disks().silent:
            is_ours = any(folder.is_relative_to(silent.disk) for folder in self._own_folders)
            yield silent_disk_finding(silent, is_ours=is_ours and silent.disk != "/")

    def _written_off(self) -> Iterator[Finding]:
        for worker in self._workers():
            if worker.written_off:
                yield written_off(worker)

    def _suspects(self) -> Iterator[Finding]:
        for job_id in self._probation.pauses:
            yield Finding(
                check="job_on_probation",
                state="warning",
                what=f"the daemon itself crashed at least three times while job {job_id} ran",
                why="it runs last and alone; if the daemon crashes on it again, it is quarantined",
                remedy=f"`steno show {job_id}`; `steno cancel {job_id}` if the recording is known to be bad",
            )

    def _put_back(self) -> Iterator[Finding]:
        if self._probation.left_behind:
            yield Finding(
                check="jobs_put_back",
                state="warning",
                what=f"{self._probation.left_behind} jobs were recorded as running without a task; "
                "they were put back",
                why="this is a bug in stenod; nothing is lost",
                remedy="run `steno logs`",
            )

    def _freeze(self) -> Iterator[Finding]:
        if self._frozen_at is not None:
            yield Finding(
                check="loop_frozen",
                state="warning",
                what=f"the daemon hung and was ended by its own watchdog, last at {iso_time(self._frozen_at)}",
                why="this is a bug in stenod; its jobs continued after the restart",
                remedy=f"for the traceback: less {quote(str(self._freeze_report))}; delete it to clear this",
            )


def silent_disk_finding(silent: SilentDisk, *, is_ours: bool) -> Finding:
    """`is_ours`: the daemon's own files are on this disk."""
    return Finding(
        check="disk_not_answering",
        state="broken" if is_ours else "warning",
        what=f"the disk of {silent.disk} does not answer, since {iso_time(silent.since)} ({silent.path})",
        why="jobs cannot continue without it" if is_ours else "recordings on it wait; all others continue",
        remedy=f"bring it or its server back, or unmount it: umount -f -l {quote(silent.disk)}",
    )


def written_off(worker: WorkerView) -> Finding:
    """For a worker role with processes that hang in the kernel."""
    pids = ", ".join(map(str, worker.written_off))
    too_many = len(worker.written_off) >= MOST_WRITTEN_OFF
    return Finding(
        check="worker_written_off",
        state="broken" if too_many else "warning",
        what=f"{worker.role} {pids} hangs in the kernel and cannot be killed; "
        + ("no other is started" if too_many else "a new process replaced it"),
        why="each keeps its memory until the disk or device that it waits for answers",
        remedy="bring the silent disk back; if there is none, restart the machine",
    )
