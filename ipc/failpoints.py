"""Failpoints: named places at which a test can make the process fail. Outside tests they do nothing.

Runs in: every process.

The style is that of RocksDB's whitebox crash test (https://github.com/facebook/rocksdb/wiki/Stress-test): the
failpoints are in the code that a fault would damage, and that code names them. Only `STENOD_FAULTS` arms them:
`process.place=how:file`, several separated by spaces, where `process` is a worker's role, `decoder` or `supervisor`.
A fault happens once, in the process that removes its file. Without the variable, `hit` is an empty function.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

ARMED_BY = "STENOD_FAULTS"

WorkerPoint = Literal[
    # A worker's life.
    "worker_spawned",
    "crash_file_opened",
    "worker_imported",
    "engine_imported",
    "engine_chosen",
    "engine_loaded",
    "ready_said",
    "worker_prepared",
    "stop_heard",
    # A request.
    "request_heard",
    "request_begun",
    "progress_said",
    "watchdog_armed",
    "answer_made",
    "answer_said",
    "engine_rested",
    "rest_said",
    # The recording is decoded.
    "pcm_named",
    # The roles' own work.
    "engine_checked",
    "pcm_opened",
    "batch_begun",
    "batch_done",
    "batch_said",
    "segment_begun",
    "segment_done",
]
DecoderPoint = Literal[
    "decoder_spawned",
    "decoder_warm",
    "recording_opened",
    "shut_in",
    "decoding_begun",
    "pcm_written",
    "recording_hashed",
]
SupervisorPoint = Literal[
    "job_stored",
    "job_claimed",
    "segments_stored",
    "transcription_stored",
    "words_stored",
    "attempt_stored",
    "names_promised",
    "file_begun",
    "file_synced",
    "file_swapped",
    "file_named",
    "files_written",
    "spool_cleared",
    "job_done",
    "upgrade_begun",
    "upgrade_files_written",
    "transaction_made",
    "transaction_stored",
]
FaultPoint = WorkerPoint | DecoderPoint | SupervisorPoint
POINTS_OF: Mapping[str, tuple[str, ...]] = {
    "transcriber": get_args(WorkerPoint),
    "aligner": get_args(WorkerPoint),
    "decoder": get_args(DecoderPoint),
    "supervisor": get_args(SupervisorPoint),
}
"""Process → its failpoints."""

Fault = Callable[[], object]


def by_signal(how: signal.Signals) -> Fault:
    """Ends or stops the process by a signal."""
    return lambda: os.kill(os.getpid(), how)


FAULTS: Mapping[str, Fault] = {
    "segv": by_signal(signal.SIGSEGV),
    "kill": by_signal(signal.SIGKILL),
    "abrt": by_signal(signal.SIGABRT),
    "stop": by_signal(signal.SIGSTOP),
    "exit": lambda: os._exit(0),
}


class Armed(NamedTuple):
    """An armed fault."""

    strike: Fault
    file: Path
    """The fault is armed while this file exists."""


def armed_points(told: str, process: str) -> dict[str, list[Armed]]:
    """The faults that the variable arms in this process. Raises ValueError if it is malformed: a test with an ignored
    fault would prove nothing."""
    points: dict[str, list[Armed]] = {}
    for one in told.split():
        place, _, rest = one.partition("=")
        who, _, name = place.partition(".")
        how, _, file = rest.partition(":")
        if name not in POINTS_OF.get(who, ()) or how not in FAULTS or not file:
            raise ValueError(f"{ARMED_BY}: {one!r} is not `process.place=how:file`")
        if who == process:
            points.setdefault(name, []).append(Armed(FAULTS[how], Path(file)))
    return points


def _this_process() -> str:
    """The supervisor calls a worker's process `stenod-` and its role."""
    name = multiprocessing.current_process().name
    return "supervisor" if name == "MainProcess" else name.removeprefix("stenod-")


_TAKEN: set[Path] = set()
ARMED = armed_points(os.environ.get(ARMED_BY, ""), _this_process())

if ARMED:

    def hit(point: FaultPoint) -> None:
        """Makes this process fail here if a test has armed the failpoint."""
        for armed in ARMED.get(point, ()):
            if armed.file in _TAKEN:
                _TAKEN.discard(armed.file)
                armed.strike()
            # PermissionError: a sandboxed process, which has already taken its faults with `take_traps`.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                armed.file.unlink()
                armed.strike()

    def take_traps(*points: FaultPoint) -> None:
        """Called before the sandbox closes: takes the faults armed at these failpoints, which then need no file."""
        for armed in (one for point in points for one in ARMED.get(point, ())):
            with contextlib.suppress(FileNotFoundError):
                armed.file.unlink()
                _TAKEN.add(armed.file)

else:

    def hit(point: FaultPoint) -> None:
        """No fault is armed."""

    def take_traps(*points: FaultPoint) -> None:
        """No fault is armed."""
