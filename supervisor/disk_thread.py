"""Work on a disk that may never answer: in a thread of its own, which nobody has to wait for.

Runs in: supervisor.

asyncio's own threads are few and are joined at exit: a handful of calls stuck on a dead network disk would take all
of them, and with them everything else that wants one.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

LONGEST_LOOK_SECONDS = 10.0
"""A disk that takes longer is not there for somebody who waits for the answer."""

Answer = TypeVar("Answer")


def on_disk(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    """What `work` returns or raises, once it does; OSError where there is no thread for it.

    To cancel is to stop waiting: the thread ends by itself.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits, as an executor does
            answer.set_exception(error)

    try:
        threading.Thread(target=run, name="disk", daemon=True).start()
    except RuntimeError as none_left:
        # For whoever waits it is one more thing that a disk may say, and may not say the next time.
        answer.set_exception(OSError(errno.EAGAIN, str(none_left)))
    return asyncio.wrap_future(answer)
