"""One process of a worker, from spawn to reaping, and how it ended.

Runs in: supervisor.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from config.settings import DeadlineSettings
from ipc.vocabulary import Phase
from ipc.worker_messages import LoadFailed, Progress, Ready, WorkerSetup
from supervisor.system.deadline import wait_for
from supervisor.worker.child_process import SpawnFailed, WorkerGone, WorkerProcess
from supervisor.worker.death import Death, KillReason, describe_death, read_traceback
from supervisor.worker.spawner import Spawner

log = structlog.get_logger()

SPAWN_SECONDS = 20.0
"""For the system to start a process; loading the model has its own deadline."""

InstanceEnd = Death | LoadFailed | None
"""It crashed, its engine could not load, or (None) it was stopped on request."""


class WorkerInstance:
    """A worker runs as a series of instances, one at a time."""

    def __init__(self, setup: WorkerSetup, crash_file: Path, spawner: Spawner, deadlines: DeadlineSettings) -> None:
        self.setup = setup
        self.process: WorkerProcess | None = None
        """None until it is spawned, and when the spawn failed."""
        self.during_job: int | None = None
        """The job whose request it serves now."""
        self.last_job: int | None = None
        """The job that it served last."""
        self.requests_finished = 0
        self.born_at = asyncio.get_running_loop().time()
        """Monotonic seconds."""
        self._crash_file = crash_file
        self._spawner = spawner
        self._deadlines = deadlines
        self._planned = False
        self._verdict: KillReason | None = None
        self._last_phase: Phase | None = None
        self._blamed_job: int | None = None
        self._over: asyncio.Future[InstanceEnd] = asyncio.get_running_loop().create_future()

    async def live(self, became_ready: Callable[[Ready], None]) -> InstanceEnd:
        """Start it, call `became_ready`, and wait until it is reaped. When this returns, no process is left."""
        end: InstanceEnd = None
        try:
            end = await self._live(became_ready)
        finally:
            if self.process is not None and not self.process.gone.is_set():
                # Cancelled: the supervisor exits immediately, and its worker with it.
                self.process.kill()
            self._over.set_result(end)
        return end

    async def outcome(self) -> InstanceEnd:
        """Waits until it has ended; returns how."""
        return await asyncio.shield(self._over)

    @property
    def is_over(self) -> bool:
        return self._over.done()

    async def leave(self) -> None:
        """Stop it, with SIGKILL if necessary. The end that follows does not count as a death."""
        self._planned = True
        if self.process is not None:
            await self.process.end(self._deadlines.stop_seconds)

    async def kill_for(self, verdict: KillReason) -> None:
        """Kill it for this reason. Only the first reason counts."""
        if self._verdict is None and self.process is not None:
            self._verdict = verdict
            self._record_last_activity(self.process)
            await self.process.kill_hung()

    async def _live(self, became_ready: Callable[[Ready], None]) -> InstanceEnd:
        try:
            self.process = await WorkerProcess.start(self.setup, self._crash_file, self._spawner, SPAWN_SECONDS)
        except SpawnFailed as failure:
            return (
                None if self._planned else self._died(None, KillReason("crashed", f"could not be started: {failure}"))
            )
        log.info("worker_started", role=self.setup.role, engine=self.setup.engine, pid=self.process.pid)
        if self._planned:
            await self.leave()
        greeting = await self._boot(self.process)
        if isinstance(greeting, Ready):
            became_ready(greeting)
            await self.process.gone.wait()
        exit_status = await self.process.see_off()
        if self._planned:
            log.info("worker_left", role=self.setup.role, pid=self.process.pid, exit_code=exit_status)
            return None
        return greeting if isinstance(greeting, LoadFailed) else self._died(exit_status, self._verdict)

    async def _boot(self, process: WorkerProcess) -> Ready | LoadFailed | None:
        """Its Ready or LoadFailed; None if it ended or was killed before that. Each progress of a download extends
        the deadline."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._deadlines.boot_seconds
        while True:
            try:
                frame = await wait_for(max(0.0, due - loop.time()), process.receive)
            except WorkerGone:
                return None
            except TimeoutError:
                await self.kill_for(KillReason("timeout", f"not ready after {self._deadlines.boot_seconds:g} s"))
                return None
            match frame:
                case Ready() | LoadFailed():
                    return frame
                case Progress(phase="downloading"):
                    due = loop.time() + self._deadlines.boot_seconds
                case Progress():
                    pass
                case _:
                    await self.kill_for(KillReason("crashed", f"sent {frame.kind} before it was ready"))
                    return None

    def _died(self, exit_status: int | None, verdict: KillReason | None) -> Death:
        if self.process is not None and verdict is None:
            self._record_last_activity(self.process)
            if self.process.fault is not None:
                verdict = KillReason("crashed", f"sent an invalid message ({self.process.fault})")
        return describe_death(
            exit_status,
            self._last_phase,
            verdict,
            read_traceback(self._crash_file),
            at=time.time(),
            during_job=self._blamed_job,
            written_off=self.process is not None and self.process.written_off,
        )

    def _record_last_activity(self, process: WorkerProcess) -> None:
        """Called at its death, or before it is killed: a signal may wake a hung worker, which may then continue for a
        moment."""
        self._last_phase = process.phase
        # A worker that has sent its final reply: its job is not blamed for the end.
        self._blamed_job = self.during_job if process.holds_request else None
