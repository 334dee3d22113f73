"""The listening socket, for an event loop that is not to drown when there are no descriptors left.

Runs in: supervisor.

asyncio accepts `backlog` connections at a time, uvicorn's 2,048. Where one cannot be had for want of descriptors it
says so, puts off its next look by a second, and yet goes through all the others, a traceback in the log and a look
put off for each: that takes many seconds, after which it begins again, and nobody who leaves is ever noticed.
"""

import errno
import socket
import time

WANTS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What asyncio answers by waiting a second."""
PATIENCE_SECONDS = 0.5


class PatientListener(socket.socket):
    """After one connection that could not be had, none is there for a moment."""

    _patient_until = 0.0

    def accept(self) -> tuple[socket.socket, object]:
        if time.monotonic() < self._patient_until:
            raise BlockingIOError(errno.EAGAIN, "no descriptors a moment ago")
        try:
            return super().accept()
        except OSError as error:
            if error.errno in WANTS:
                self._patient_until = time.monotonic() + PATIENCE_SECONDS
            raise
