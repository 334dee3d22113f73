"""The function that the supervisor spawns: a child that cannot outlive it from the first moment, then the worker's
loop.

Runs in: worker. The supervisor imports it too, as the target of spawn.

Python imports this file before `run_worker` runs in the child, so it imports next to nothing: if the supervisor is
killed before `end_with_parent` is called, the child is left behind, and on a busy machine the loop's imports take
seconds.
"""

import faulthandler
import gc
import multiprocessing
import os
import resource
import signal
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from workers.parent_death import end_with_parent, leave

TELL_WHERE = signal.SIGUSR1
"""The supervisor sends this before it kills a worker that hangs: every thread's traceback goes to the crash file."""

NICENESS = 10
"""The supervisor and the user's own programs come first: a transcript is not urgent."""

NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
"""Libraries read these when they are imported. ONNX Runtime, which runs the speech detector, sends telemetry by
default, and keeps a device id in the user's cache folder for it."""


def run_worker(setup_json: str, connection: Connection, crash_file: str) -> None:
    """A worker's main function; never returns. `crash_file` gets the tracebacks of crashes that Python cannot
    catch."""
    if parent := multiprocessing.parent_process():
        end_with_parent(parent.pid or 0)
    from ipc.failpoints import hit

    hit("worker_spawned")
    os.environ.update(NO_TELEMETRY)
    os.nice(NICENESS)
    with Path(crash_file).open("w", encoding="utf-8") as crash:
        faulthandler.enable(crash)
        faulthandler.register(TELL_WHERE, crash)
        hit("crash_file_opened")
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the supervisor.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # A core dump is as large as the model.
        # Loading creates a million objects and drops few; garbage collection would take a tenth of the time. The loop
        # turns it on once the engine is loaded.
        gc.disable()
        try:
            import config.lean_structlog  # noqa: F401 - before the first module that logs
            from ipc.worker_messages import WorkerSetup
            from workers.shell.loop import live

            hit("worker_imported")
            live(WorkerSetup.model_validate_json(setup_json), connection, crash)
        except BaseException:  # noqa: BLE001  the process ends here, and the crash file records why
            traceback.print_exc(file=crash)
            crash.flush()
            leave(1)
