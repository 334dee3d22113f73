"""One child from spawn to reaped: the only file that spawns, reads, terminates and kills.

Runs in: supervisor.

Nothing here blocks the event loop: `WorkerChannel` reads and writes in threads, `Spawner` starts and reaps in its
own. The child's exit is seen immediately on its sentinel, a pipe that closes with it. A child that was killed and
still lives hangs in the kernel, where no signal reaches it: it is written off, and another takes its place.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import assert_never

import structlog

from ipc.pipe import BadFrame
from ipc.vocabulary import Phase
from ipc.worker_messages import (
    Align,
    AudioDecoded,
    CachesReleased,
    Cancel,
    Decode,
    Forget,
    FromWorker,
    Pause,
    Paused,
    Progress,
    Ready,
    RequestFailed,
    Stop,
    ToWorker,
    Transcribe,
    TranscriptionFinished,
    WordsAligned,
    WorkerSetup,
)
from supervisor.system.deadline import is_set_within
from supervisor.system.threads import run_detached
from supervisor.worker.channel import WorkerChannel
from supervisor.worker.spawner import Spawner
from workers.worker_main import TELL_WHERE, run_worker

REAP_SECONDS = 5.0
"""From SIGKILL to the exit status. Longer is a process stuck in the kernel, and nothing we could wait for."""
WRITE_OFF_SECONDS = 8.0
"""From SIGKILL to the end of all hope: a process that still lives hangs in the kernel, and no signal can end it."""
TRACEBACK_SECONDS = 0.25
"""For a hung worker to write down where it hangs, before it is killed."""
log = structlog.get_logger()
SPAWN = multiprocessing.get_context("spawn")
DRAIN_SECONDS = 1.0
"""What a dead worker said last is in the pipe by then, or a stray grandchild holds the pipe open."""
FIRST_PHASE: dict[str, Phase] = {"decode": "decoding", "transcribe": "speech", "align": "aligning"}
MOST_WRITTEN_OFF = 4
"""Of one role. Each keeps its memory: beyond this number no other is started."""


class SpawnFailed(Exception):
    """No process could be started: no memory, no descriptors, or it took too long."""


class WorkerGone(Exception):
    """There is nothing more to be heard from this worker."""


def undo_start(process: SpawnProcess) -> None:
    """A start that came too late: no caller knows this child."""
    if process.pid is not None:
        process.kill()
        process.join(REAP_SECONDS)


class WorkerProcess:
    """A child that was started. The handle must call `see_off` in the end."""

    def __init__(self, process: SpawnProcess, connection: Connection, spawner: Spawner) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._spawner = spawner
        assert process.pid is not None
        self.pid: int = process.pid
        self.phase: Phase | None = None
        """The last it was heard to begin; None while it holds no request."""
        self.holds_request = False
        """From the sending of a request to the arrival of its final reply."""
        self.footprint_bytes: int | None = None
        self.footprint_when_ready_bytes = 0
        """With the model in it, before it had done anything."""
        self.rested = asyncio.Event()
        """It has said what it costs since the last request; not so while it works or gives caches back."""
        self.on_rested: Callable[[], None] = lambda: None
        self.gone = asyncio.Event()
        """The pipe or the process has ended: `see_off` is due."""
        self.written_off = False
        """It was killed and lives on, out of reach; its life is over all the same, until `on_end_after_all`."""
        self.on_end_after_all: Callable[[], None] = lambda: None
        self._killed: asyncio.TimerHandle | None = None
        self.fault: BadFrame | None = None
        """What it said that was no message; nothing was read after that."""
        self._frames: deque[FromWorker] = deque()
        self._news = asyncio.Event()
        self._stream_over = asyncio.Event()
        self._exit: asyncio.Task[int | None] | None = None
        self._exited = asyncio.Event()
        self._line = WorkerChannel(connection, f"worker-{self.pid}", self._frame_came, self._stream_ended)
        self._loop.add_reader(process.sentinel, self._on_sentinel)

    @classmethod
    async def start(
        cls, setup: WorkerSetup, crash_file: Path, spawner: Spawner, deadline_seconds: float
    ) -> "WorkerProcess":
        """Raises SpawnFailed."""
        try:
            ours, theirs = SPAWN.Pipe(duplex=True)
        except OSError as error:
            raise SpawnFailed(str(error)) from error
        process = SPAWN.Process(
            target=run_worker,
            args=(setup.model_dump_json(), theirs, str(crash_file)),
            name=f"stenod-{setup.role}",
            # Ended by multiprocessing, not waited for, should we leave without having stopped it.
            daemon=True,
        )
        started = False
        try:
            await spawner.call(process.start, deadline_seconds, undo=lambda: undo_start(process))
            started = True
        except (OSError, TimeoutError) as error:
            raise SpawnFailed(str(error)) from error
        finally:
            # Ours of the child's end must go, or its death would never show as an end of file.
            theirs.close()
            if not started:
                ours.close()
        try:
            return cls(process, ours, spawner)
        except RuntimeError as error:
            # No thread for its line: it cannot be heard.
            await spawner.call(lambda: undo_start(process), 2 * REAP_SECONDS)
            raise SpawnFailed(str(error)) from error

    def send(self, message: ToWorker) -> None:
        """Hand it to the writing thread: never blocks, and says nothing of arrival."""
        match message:
            case Cancel() | Pause() | Forget() | Stop():
                pass
            case Decode() | Transcribe() | Align():
                self.holds_request = True
                self.rested.clear()
                # What it begins with, should it die before it can say so.
                self.phase = FIRST_PHASE[message.kind]
            case _:
                assert_never(message)
        self._line.send(message)

    async def receive(self) -> FromWorker:
        """The next frame, in order. Raises WorkerGone when all was heard and nothing more can come."""
        while not self._frames:
            if self._stream_over.is_set():
                raise WorkerGone
            self._news.clear()
            if not self._exited.is_set():
                await self._news.wait()
                continue
            if not await is_set_within(self._news, DRAIN_SECONDS):
                self._line.shutdown()
                raise WorkerGone
        self._line.acknowledge()
        return self._frames.popleft()

    async def end(self, stop_seconds: float) -> None:
        """Ask, then SIGTERM after half the time, then SIGKILL; returns when it is gone. A stopped one goes too."""
        self.send(Stop())
        for force in (signal.SIGTERM, signal.SIGKILL):
            if await is_set_within(self._exited, stop_seconds / 2):
                return
            self.kill() if force is signal.SIGKILL else self._signal(force)
        await is_set_within(self._exited, WRITE_OFF_SECONDS + REAP_SECONDS)

    async def kill_hung(self) -> None:
        """Let it write down where it hangs, then SIGKILL."""
        self._signal(TELL_WHERE)
        await is_set_within(self._exited, TRACEBACK_SECONDS)
        self.kill()

    def kill(self) -> None:
        """One that lives on is written off after a while, and `gone` then."""
        self._signal(signal.SIGKILL)
        if self._killed is None:
            self._killed = self._loop.call_later(WRITE_OFF_SECONDS, self._write_off)

    async def see_off(self) -> int | None:
        """Its exit status: the code, or minus the signal; None if it cannot be had. Ends what has not ended itself.

        When this returns, no process is left that could be ended, and what it said last has been read unless no
        caller asks for it.
        """
        if self.fault is not None:
            self.kill()
        elif not await is_set_within(self._exited, DRAIN_SECONDS):
            # It closed its pipe and stays: no message can reach it any more.
            self.kill()
        await is_set_within(self._exited, WRITE_OFF_SECONDS + 2 * REAP_SECONDS)
        if not await is_set_within(self._stream_over, DRAIN_SECONDS):
            log.warning("worker_pipe_not_ended", pid=self.pid)
        return self._exit.result() if self._exit is not None and self._exit.done() else None

    # --- the end of the process ------------------------------------------------------------------------------

    def _on_sentinel(self) -> None:
        # Before the descriptor is closed, or the loop would watch whatever gets its number next.
        self._loop.remove_reader(self._process.sentinel)
        self._exit = self._loop.create_task(self._reap())

    async def _reap(self) -> int | None:
        def reap() -> int | None:
            # The sentinel also closes on a process that closed everything and lives on. That one must go;
            # one that is on its way out is past caring.
            self._process.kill()
            self._process.join(REAP_SECONDS)
            return self._process.exitcode

        status = None
        try:
            status = await self._spawner.call(reap, 2 * REAP_SECONDS)
        except TimeoutError:
            log.exception("worker_not_reaped", pid=self.pid)
        if self._killed is not None:
            self._killed.cancel()
        if status is None:
            self._give_up_on_it()  # on its way out, and stuck there: what it has open is on a dead disk
            return None
        self._exited.set()
        self._process.close()
        self._spread_news()
        return status

    def _write_off(self) -> None:
        if self._exit is None and not self._exited.is_set():  # its end may have come with this turn of the loop
            self._loop.remove_reader(self._process.sentinel)
            self._give_up_on_it()

    def _give_up_on_it(self) -> None:
        """Its life is over for everybody but one thread, which waits for its end so that no zombie stays."""
        log.error("worker_written_off", pid=self.pid, phase=self.phase)
        self.written_off = True
        self._line.shutdown()
        run_detached(self._process.join).add_done_callback(self._ended_after_all)
        self._exited.set()
        self._spread_news()

    def _ended_after_all(self, joined: "asyncio.Future[None]") -> None:
        if not joined.cancelled() and joined.exception() is None:
            self._process.close()
            self.on_end_after_all()

    def _signal(self, number: signal.Signals) -> None:
        # From the sentinel on, the process may be reaped and its pid another process's.
        if self._exit is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    # --- what it says ----------------------------------------------------------------------------------------

    def _frame_came(self, frame: FromWorker) -> None:
        match frame:
            case Progress(phase=phase, footprint_bytes=footprint_bytes):
                self.phase = phase
                self.footprint_bytes = footprint_bytes
            case AudioDecoded() | TranscriptionFinished() | WordsAligned() | Paused() | RequestFailed():
                self.holds_request = False
                self.phase = None
            case Ready(footprint_bytes=footprint_bytes):
                self.phase = None
                self.footprint_bytes = self.footprint_when_ready_bytes = footprint_bytes
                self.rested.set()
            case CachesReleased(footprint_bytes=footprint_bytes):
                # For us and not for who asked: the next may have sent a request already.
                self.footprint_bytes = footprint_bytes
                self._line.acknowledge()
                if not self.holds_request:
                    self.rested.set()
                    self.on_rested()
                return
            case _:
                pass
        self._frames.append(frame)
        self._spread_news()

    def _stream_ended(self, fault: BadFrame | None) -> None:
        self.fault = fault
        self._stream_over.set()
        self._spread_news()

    def _spread_news(self) -> None:
        """Wake the callers that wait for a change."""
        self._news.set()
        if self._stream_over.is_set() or self._exited.is_set():
            self.gone.set()
            self.rested.set()


class WrittenOff:
    """Those of one role; another took the place of each."""

    def __init__(self, one_ended: Callable[[bool], None]) -> None:
        """`one_ended` hears of each that ended after all, and whether it was one too many until then."""
        self._processes: list[WorkerProcess] = []
        self._one_ended = one_ended

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes)

    @property
    def are_too_many(self) -> bool:
        """Whether no further worker is started."""
        return len(self._processes) >= MOST_WRITTEN_OFF

    def add(self, process: WorkerProcess) -> str:
        """It hangs from now on; in words."""

        def ended() -> None:
            were_too_many = self.are_too_many
            self._processes.remove(process)
            self._one_ended(were_too_many)

        self._processes.append(process)
        process.on_end_after_all = ended
        return f"worker {process.pid} hangs in the kernel and cannot be killed; a new one took its place"
