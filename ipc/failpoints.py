"""Named places at which a test may break the process that reaches them; in every other life they do nothing.

Runs in: every process.

The style is that of RocksDB's whitebox crash test (https://github.com/facebook/rocksdb/wiki/Stress-test): faults lie
where they hurt, and the code that they threaten names the places. What arms them is `STENOD_FAULTS` and nothing
else: `process.place=how:file`, several divided by spaces, where `process` is a worker's role, `decoder` or
`supervisor`. A fault strikes once: the process that takes its file away. Without the variable, `hit` is a function
with an empty body.
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
"""Process → what it may come by."""

Fault = Callable[[], object]


def by_signal(how: signal.Signals) -> Fault:
    """The system's own end of a process, or its standstill."""
    return lambda: os.kill(os.getpid(), how)


FAULTS: Mapping[str, Fault] = {
    "segv": by_signal(signal.SIGSEGV),
    "kill": by_signal(signal.SIGKILL),
    "abrt": by_signal(signal.SIGABRT),
    "stop": by_signal(signal.SIGSTOP),
    "exit": lambda: os._exit(0),
}


class Armed(NamedTuple):
    """A fault that lies in wait."""

    strike: Fault
    file: Path
    """As long as it is there."""


def armed_points(told: str, process: str) -> dict[str, list[Armed]]:
    """What the variable arms in this process. Raises ValueError if it makes no sense: a test that breaks nothing
    proves nothing."""
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
        """Breaks this process if a test lies in wait here."""
        for armed in ARMED.get(point, ()):
            if armed.file in _TAKEN:
                _TAKEN.discard(armed.file)
                armed.strike()
            # PermissionError: a process that may touch no file any more, and has taken what there was.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                armed.file.unlink()
                armed.strike()

    def take_traps(*points: FaultPoint) -> None:
        """Before this process gives up all files: what lies in wait at these places strikes without one."""
        for armed in (one for point in points for one in ARMED.get(point, ())):
            with contextlib.suppress(FileNotFoundError):
                armed.file.unlink()
                _TAKEN.add(armed.file)

else:

    def hit(point: FaultPoint) -> None:
        """Nothing lies in wait."""

    def take_traps(*points: FaultPoint) -> None:
        """Nothing lies in wait."""
