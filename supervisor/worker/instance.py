"""One process of a worker, from spawn to reaped, and how that ended.

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
"""For the system to start a process; the loading of a model is not in it."""

InstanceEnd = Death | LoadFailed | None
"""It died, it has no engine and left, or it was asked to leave."""


class WorkerInstance:
    """A worker is a row of these; never two at a time."""

    def __init__(self, setup: WorkerSetup, crash_file: Path, spawner: Spawner, deadlines: DeadlineSettings) -> None:
        self.setup = setup
        self.process: WorkerProcess | None = None
        """None until it is spawned, and where that failed."""
        self.during_job: int | None = None
        """The job for which it has been lent."""
        self.last_job: int | None = None
        """The job for which it was lent last."""
        self.requests_finished = 0
        self.born_at = asyncio.get_running_loop().time()
        """Monotonic seconds."""
        self._crash_file = crash_file
        self._spawner = spawner
        self._deadlines = deadlines
        self._planned = False
        self._verdict: KillReason | None = None
        self._last_phase: Phase | None = None
        self._guilty_of: int | None = None
        self._over: asyncio.Future[InstanceEnd] = asyncio.get_running_loop().create_future()

    async def live(self, became_ready: Callable[[Ready], None]) -> InstanceEnd:
        """Start it, tell when it is ready, and see it off. When this returns no process is left."""
        end: InstanceEnd = None
        try:
            end = await self._live(became_ready)
        finally:
            if self.process is not None and not self.process.gone.is_set():
                # We were cancelled: the supervisor exits, and its worker with it.
                self.process.kill()
            self._over.set_result(end)
        return end

    async def outcome(self) -> InstanceEnd:
        """How it ended; waits until it has."""
        return await asyncio.shield(self._over)

    @property
    def is_over(self) -> bool:
        return self._over.done()

    async def leave(self) -> None:
        """Ask it to leave, with force if need be. The end that follows is no death."""
        self._planned = True
        if self.process is not None:
            await self.process.end(self._deadlines.stop_seconds)

    async def kill_for(self, verdict: KillReason) -> None:
        """Kill it for this. The first verdict counts."""
        if self._verdict is None and self.process is not None:
            self._verdict = verdict
            self._note_what_it_did(self.process)
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
        """Its first word, None if it is gone or was condemned before that. A download gives it more time."""
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
                    await self.kill_for(KillReason("crashed", f"said {frame.kind} before it was ready"))
                    return None

    def _died(self, exit_status: int | None, verdict: KillReason | None) -> Death:
        if self.process is not None and verdict is None:
            self._note_what_it_did(self.process)
            if self.process.fault is not None:
                verdict = KillReason("crashed", f"said what is no message ({self.process.fault})")
        return describe_death(
            exit_status,
            self._last_phase,
            verdict,
            read_traceback(self._crash_file),
            at=time.time(),
            during_job=self._guilty_of,
            written_off=self.process is not None and self.process.written_off,
        )

    def _note_what_it_did(self, process: WorkerProcess) -> None:
        """At its death, or when it was condemned: a signal may wake what hung, and it may run for a moment."""
        self._last_phase = process.phase
        # Who has answered is not judged by how it ends.
        self._guilty_of = self.during_job if process.holds_request else None
