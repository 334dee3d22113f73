"""What a worker answers to one request, as it comes in, with deadlines.

Runs in: supervisor.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

from ipc.worker_messages import (
    AudioDecoded,
    CachesReleased,
    Cancel,
    FromWorker,
    LoadFailed,
    Pause,
    Paused,
    Ready,
    Request,
    RequestFailed,
    TranscriptionFinished,
    WordsAligned,
)
from supervisor.system.deadline import wait_for
from supervisor.worker.child_process import WorkerGone, WorkerProcess
from supervisor.worker.death import KillReason

Lost = Callable[[KillReason | None], Awaitable[NoReturn]]
"""Called when the worker is gone, or, with a verdict, shall be; raises what the asker is told."""


class Replies(AsyncIterator[FromWorker]):
    """The replies to one request, in order, ending with the final one."""

    def __init__(
        self,
        process: WorkerProcess,
        request: Request,
        *,
        deadline_seconds: float,
        progress_seconds: float,
        lost: Lost,
    ) -> None:
        self._process = process
        self._request_id = request.request_id
        self._deadline_seconds = deadline_seconds
        self._left_seconds = deadline_seconds
        self._progress_seconds = progress_seconds
        self._lost = lost
        self.finished = False
        """The final reply has been given out."""
        self.paused = False
        """It was `Paused`: the worker keeps what is needed to continue."""
        process.send(request)

    async def __anext__(self) -> FromWorker:
        """Raises what `lost` raises when the worker dies, hangs or talks nonsense.

        Only the time spent waiting for the worker counts against its deadlines, not the asker's own.
        """
        if self.finished:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        patience_seconds = min(self._left_seconds, self._progress_seconds)
        asked_at = loop.time()
        try:
            reply = await wait_for(patience_seconds, self._process.receive)
        except WorkerGone:
            await self._lost(None)
        except TimeoutError:
            if patience_seconds < self._progress_seconds:
                await self._lost(KillReason("timeout", f"not done after {self._deadline_seconds:g} s"))
            await self._lost(KillReason("timeout", f"no progress for {self._progress_seconds:g} s"))
        waited_seconds = loop.time() - asked_at
        if waited_seconds <= patience_seconds:
            self._left_seconds -= waited_seconds
        # else we were away ourselves, and cannot tell for how much of it: that is not the worker's time.
        return await self._checked(reply)

    async def give_up(self, cancel_seconds: float) -> bool:
        """Ask the worker to stop working on this; whether its final reply came in time. Raises WorkerGone."""
        self._process.send(Cancel(request_id=self._request_id))

        async def hear_out() -> None:
            while not self.finished:
                self._note_final(await self._process.receive())

        try:
            await wait_for(cancel_seconds, hear_out)
        except TimeoutError:
            return False
        return True

    def pause(self) -> None:
        """Ask the worker to make way: unless it is done first, its final reply will be `Paused`."""
        if not self.finished:
            self._process.send(Pause(request_id=self._request_id))

    async def _checked(self, reply: FromWorker) -> FromWorker:
        if isinstance(reply, Ready | LoadFailed | CachesReleased) or reply.request_id != self._request_id:
            await self._lost(KillReason("crashed", f"said {reply.kind} out of turn"))
        self._note_final(reply)
        return reply

    def _note_final(self, reply: FromWorker) -> None:
        if isinstance(reply, AudioDecoded | TranscriptionFinished | WordsAligned | Paused | RequestFailed):
            self.finished = reply.request_id == self._request_id
            self.paused = self.finished and isinstance(reply, Paused)
