"""A worker's heartbeat: reports progress to the supervisor, feeds its own watchdog, checks for cancels.

Runs in: worker.

The watchdog is faulthandler's C thread: it ends the process even while native code keeps the GIL, and writes every
thread's traceback to the crash file. It is armed only during work, never during a wait for the supervisor, which may
be stopped or asleep.
"""

import faulthandler
import time
from multiprocessing.connection import Connection
from typing import TextIO

import psutil

from ipc.failpoints import hit
from ipc.pipe import PipeClosed, send
from ipc.vocabulary import Phase
from ipc.worker_messages import FromWorker, Progress
from workers.footprint import footprint_bytes
from workers.parent_death import leave

BETWEEN_STEPS_SECONDS = 0.3
"""Steps closer together than this count as one: a report and a re-armed watchdog cost a tenth of a millisecond
each."""

PATIENCE_SHARE = 0.6
"""Share of the watchdog's time, which is a little longer than the supervisor's deadline."""


class Cancelled(Exception):
    """The supervisor no longer wants the request in progress."""


class Heartbeat:
    """One worker's heartbeat. The main thread beats; only `cancel` and `pause` may be called from another."""

    def __init__(
        self,
        connection: Connection,
        crash_file: TextIO,
        stuck_after_seconds: float,
        stuck_loading_after_seconds: float,
    ) -> None:
        self._connection = connection
        self._crash_file = crash_file
        self._stuck_after_seconds = stuck_after_seconds
        self._stuck_loading_after_seconds = stuck_loading_after_seconds
        self._process = psutil.Process()
        self._request_id: int | None = None
        self._cancelled_id: int | None = None
        self._pause_id: int | None = None
        self._phase: Phase = "loading"
        self._stepped_at = 0.0

    @property
    def footprint_bytes(self) -> int:
        """The memory footprint of the worker's process now."""
        return footprint_bytes(self._process)

    @property
    def patience_seconds(self) -> float:
        """How long a part of a request may make no progress: well below the deadline of the supervisor and of the
        watchdog."""
        return self._stuck_after_seconds * PATIENCE_SHARE

    def begin(self, request_id: int | None) -> None:
        """The following work belongs to this request; None: to no request, while loading."""
        self._request_id = request_id

    def enter(self, phase: Phase, done_seconds: float = 0.0) -> None:
        """Starts a phase: reported before its native code runs, so that a crash counts against it. Raises
        Cancelled."""
        self._phase = phase
        self._beat(done_seconds)

    def step(self, done_seconds: float) -> None:
        """Progress within the phase, at `done_seconds` of audio. Cheap. Raises Cancelled."""
        if time.monotonic() - self._stepped_at >= BETWEEN_STEPS_SECONDS:
            self._beat(done_seconds)
        else:
            self.check_cancelled()

    def downloading(self) -> None:
        """A download makes progress: the supervisor extends the boot deadline."""
        if self._phase != "downloading":
            self.enter("downloading")
        else:
            self.step(0.0)

    def cancel(self, request_id: int) -> None:
        """Makes the next step of this request raise Cancelled; without effect on a finished request."""
        self._cancelled_id = request_id

    def pause(self, request_id: int) -> None:
        """Makes this request pause where it can; without effect on a finished request."""
        self._pause_id = request_id

    @property
    def is_pause_wanted(self) -> bool:
        """Whether the request in progress should make way for another."""
        return self._request_id is not None and self._pause_id == self._request_id

    def rest(self) -> None:
        """The worker is idle: disarms the watchdog."""
        faulthandler.cancel_dump_traceback_later()

    def send(self, message: FromWorker) -> None:
        """Sends a message; ends the process if the supervisor is gone."""
        self.rest()
        try:
            send(self._connection, message)
        except PipeClosed:
            leave()

    def arm(self) -> None:
        """Arms the watchdog: from now on a step is due."""
        loading = self._phase in ("loading", "downloading")
        due_seconds = self._stuck_loading_after_seconds if loading else self._stuck_after_seconds
        faulthandler.dump_traceback_later(due_seconds, exit=True, file=self._crash_file)

    def check_cancelled(self) -> None:
        """Raises Cancelled if the supervisor cancelled the request in progress."""
        if self._request_id is not None and self._cancelled_id == self._request_id:
            raise Cancelled

    def _beat(self, done_seconds: float) -> None:
        self.check_cancelled()
        self.send(
            Progress(
                request_id=self._request_id,
                phase=self._phase,
                done_seconds=done_seconds,
                footprint_bytes=self.footprint_bytes,
            )
        )
        hit("progress_said")
        self._stepped_at = time.monotonic()
        self.arm()
        hit("watchdog_armed")
