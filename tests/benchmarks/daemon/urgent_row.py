"""Row 11: how long a short command waits while a recording of three hours is transcribed.

Runs in: the benchmark.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from recordings import MEMO, voice, wav

from benchmarks.course import Course
from benchmarks.daemon.served_daemon import ServedDaemon, served_daemon
from benchmarks.figures import Demand, Section, Series
from ipc.api_messages import JobOptions
from ipc.events import JobChanged, JobProgressed
from ipc.vocabulary import FINISHED

TITLE = "A command of 3 s while a recording of three hours is transcribed"
LONG_SECONDS = 3 * 3600.0
COMMAND_SECONDS = 3
COMMANDS = 40
LONGEST_PAUSE_SECONDS = 2.5
"""Between two commands: they come at any moment of a batch."""
UNDISTURBED_SECONDS = 40.0
"""For so long the batches of the long recording are watched, before the first command."""
SETTLED_SECONDS = 60.0
"""The first batches of a recording are small ones."""
OWN_TIMES = 1.5


def urgent(course: Course) -> Section:
    """The same commands on an idle daemon, and with `--priority now` during the recording."""
    command = wav(course.folder / "command.wav", voice(MEMO)[: COMMAND_SECONDS * 16_000])
    recording = course.speech(LONG_SECONDS).path
    count = len(course.some(range(COMMANDS)))
    luck = random.Random(11)
    with served_daemon(None) as daemon:
        _answer_seconds(daemon, command)
        course.say(f"  {count} commands on an idle daemon")
        idle = [_answer_seconds(daemon, command) for _ in range(count)]
        options = JobOptions(output_dir=str(daemon.home / "out"))
        job_id = daemon.connection.submit(str(recording), options).id
        with _batches(daemon, job_id) as batches:
            _until_transcribing(daemon, job_id)
            batches.clear()
            time.sleep(UNDISTURBED_SECONDS / course.shrink)
            undisturbed = list(batches)
        course.say(f"  {count} commands during the recording")
        busy = []
        for _ in range(count):
            time.sleep(luck.uniform(0.0, LONGEST_PAUSE_SECONDS))
            busy.append(_answer_seconds(daemon, command))
        still_runs = daemon.connection.job(job_id).status == "transcribing"
        if still_runs:
            daemon.connection.cancel(job_id)
    allowed = _p95(undisturbed) + OWN_TIMES * _p95(idle)
    notes = () if still_runs else ("The recording ended before the last command: this machine needs a longer one.",)
    return Section(
        title=TITLE,
        setting=f"{count} commands without words, one after the other, at random moments; tiny.en in int8, the "
        "starter aligner, all threads. The recording gets its words meanwhile.",
        series=(
            Series("a command, daemon idle", "s", tuple(idle)),
            Series("a command during the recording", "s", tuple(busy)),
            Series("a batch of the recording", "s", tuple(undisturbed)),
        ),
        demands=(
            Demand("a command during the recording, p95 (one batch + 1.5 × idle)", _p95(busy), "≤", allowed, "s"),
        ),
        notes=notes,
    )


def _answer_seconds(daemon: ServedDaemon, command: Path) -> float:
    options = JobOptions(workflow="transcribe", priority="now", output_dir=str(daemon.home / "out"))
    with daemon.connection.events() as events:
        began = time.perf_counter()
        job_id = daemon.connection.submit(str(command), options).id
        for event in events:
            if isinstance(event, JobChanged) and event.job.id == job_id and event.job.status in FINISHED:
                if event.job.status == "done":
                    return time.perf_counter() - began
                break
    raise daemon.failed(f"the command, job {job_id}, did not come out")


@contextmanager
def _batches(daemon: ServedDaemon, job_id: int) -> Iterator[list[float]]:
    """Seconds between two places that the transcript of this job has reached, as they come."""
    gaps: list[float] = []
    is_over = threading.Event()

    def listen() -> None:
        at, place = time.perf_counter(), 0.0
        with daemon.connection.events() as events:
            for event in events:
                if is_over.is_set():
                    return
                if not isinstance(event, JobProgressed) or event.running.id != job_id:
                    continue
                if event.running.phase == "transcribing" and event.running.done_seconds > place:
                    now = time.perf_counter()
                    gaps.append(now - at)
                    at, place = now, event.running.done_seconds

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield gaps
    finally:
        is_over.set()
        listener.join()


def _until_transcribing(daemon: ServedDaemon, job_id: int) -> None:
    with daemon.connection.events() as events:
        for event in events:
            match event:
                case JobProgressed(running=one) if one.id == job_id and one.phase == "transcribing":
                    if one.done_seconds > SETTLED_SECONDS:
                        return
                case _:
                    pass
    raise daemon.failed("the recording was not transcribed")


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]
