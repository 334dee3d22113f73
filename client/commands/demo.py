"""`make demo`, `steno demo`: three recordings, two crashes, no loss, on a daemon of its own.

Runs in: the user's shell.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console
from rich.table import Table

from client.daemon import here
from client.daemon.connection import DaemonClient
from client.following.follow import follow
from client.terminal.errors import NoDaemon, Refusal
from client.terminal.streams import STDOUT, with_streams
from client.terminal.wording import phase_words
from client.views.progress import ProgressBars
from ipc.api_messages import JobOptions, JobView
from ipc.events import DaemonEvent, JobChanged, JobProgressed, WorkerChanged
from ipc.vocabulary import Role

RECORDINGS = Path(__file__).parents[1] / "recordings"
START_SECONDS = 60.0
"""From the start of the daemon to two warm workers on a slow machine."""
JOB_SECONDS = 60.0
STOP_SECONDS = 10.0
ORPHAN_SECONDS = 2.0
WORDS_SHOWN = 12
TRIES = 5
"""A fast machine may be done with a recording before its worker can be killed: then the next copy is tried."""


class DemoFailed(Exception):
    """Something that was promised did not happen."""


def promise(kept: object, what: str) -> None:
    """Raises DemoFailed unless it is so."""
    if not kept:
        raise DemoFailed(what)


class Demonstration:
    """Narrated while it happens."""

    def __init__(self, console: Console, home: Path) -> None:
        self._console = console
        self._home = home
        self._daemon = DaemonClient(home / "run" / "stenod.sock")

    def run(self) -> None:
        """Raises DemoFailed, Refusal or NoDaemon if any of it does not happen."""
        with self._running_daemon() as pid:
            self._wait_for_workers()
            self._show_a_recording_becoming_words()
            if sys.platform == "darwin":
                self._say("two workers will crash on purpose; a dialog “Python quit unexpectedly” can be ignored")
            self._show_a_crash("transcriber", self._drop("talk.flac"), _is_transcribing)
            self._show_a_crash("aligner", self._hand_over("talk.flac", "the same talk.flac"), _aligner_is_busy)
            children = psutil.Process(pid).children(recursive=True)
        _, alive = psutil.wait_procs(children, timeout=ORPHAN_SECONDS)
        promise(not alive, "the workers end with the daemon")
        promise(not self._daemon.socket.exists(), "the socket is gone")
        promise(not any((self._home / "spool").iterdir()), "the spool is empty")

    # --- acts ------------------------------------------------------------------------------------------------

    def _show_a_recording_becoming_words(self) -> None:
        self._say("a recording is put into the watched folder: memo.flac")
        with self._daemon.events() as events:
            job_id = self._job_of(self._drop("memo.flac"), events)
        job = self._finished(job_id)
        promise(job.timing == "word", f"every word has its time, not {job.timing} ({job.degraded_reason})")
        self._show(job)

    def _show_a_crash(self, role: Role, recording: Path, is_the_moment: Callable[[DaemonEvent, int], bool]) -> None:
        for number in range(TRIES):
            if number:
                recording = self._hand_over("talk.flac", f"{role} {number}.flac")
            if (job_id := self._killed_at_work(role, recording, is_the_moment)) is not None:
                job = self._finished(job_id)
                if [one for one in job.attempts if one.role == role and one.signal == "SIGSEGV"]:
                    break
            self._console.print(f"    [dim]the {role} was done before it could be killed; once more[/dim]")
        else:
            raise DemoFailed(f"the {role} is caught at work in one of {TRIES} recordings")
        promise(job.timing == "word", f"every word still has its time, not {job.timing}")
        self._show(job)

    def _killed_at_work(
        self, role: Role, recording: Path, is_the_moment: Callable[[DaemonEvent, int], bool]
    ) -> int | None:
        """The recording's job, whose worker got a SIGSEGV; None: it was done before."""
        with self._daemon.events() as events:
            if recording.parent == self._inbox:
                self._say(f"a second recording, {recording.name}; the {role} is killed with SIGSEGV while at work")
                job_id = self._job_of(recording, events)
            else:
                self._say(f"another, queued with `submit`; the {role} is killed with SIGSEGV while at work")
                job_id = self._daemon.submit(str(recording), JobOptions()).id
            deadline = time.monotonic() + JOB_SECONDS
            for event in events:
                promise(time.monotonic() < deadline, f"the {role} gets to work on {recording.name}")
                if _is_finished(event, job_id):
                    return None
                if is_the_moment(event, job_id):
                    pid = next(w.pid for w in self._daemon.status().workers if w.role == role)
                    promise(pid, f"the {role} has a process")
                    os.kill(int(pid or 0), signal.SIGSEGV)
                    self._console.print(f"    kill -SEGV {pid}   [dim]# the {role}, at work[/dim]")
                    return job_id
        raise DemoFailed(f"the daemon reports on {recording.name} until it is done")

    # --- scenery ---------------------------------------------------------------------------------------------

    @property
    def _inbox(self) -> Path:
        return self._home / "Transcribe"

    @contextmanager
    def _running_daemon(self) -> Iterator[int]:
        self._say("a daemon of its own, with the starter models and no network")
        log = (self._home / "daemon.log").open("wb")
        environment = {
            **os.environ,
            "STENO_HOME": str(self._home),
            "STENO_MODEL": "starter",
            "STENO_ALIGNMENT_MODEL": "starter",
            "STENO_ALLOW_DOWNLOAD": "false",
            "STENO_WATCHING_SETTLE_SECONDS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with log:
            process = subprocess.Popen(here.SUPERVISOR, env=environment, stdout=log, stderr=log, cwd="/")
        try:
            yield process.pid
            self._say("the daemon is stopped")
            process.send_signal(signal.SIGTERM)
            promise(process.wait(STOP_SECONDS) == 0, "the daemon stops with exit code 0")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        began = time.monotonic()
        while True:
            # The socket is not there yet, so nothing could wake us.
            time.sleep(0.1)
            promise(time.monotonic() < deadline, "both workers are ready within a minute")
            try:
                workers = self._daemon.status().workers
            except NoDaemon:
                continue
            if len(workers) == 2 and all(worker.state == "ready" for worker in workers):
                break
            broken = [worker for worker in workers if worker.state == "broken"]
            promise(not broken, f"the workers start: {[worker.note for worker in broken]}")
        for worker in workers:
            self._console.print(
                f"    {worker.role}: {worker.engine}, {worker.model}, {worker.device}, pid {worker.pid}"
            )
        self._console.print(f"    warm after {time.monotonic() - began:.1f} s")

    def _drop(self, name: str) -> Path:
        """As a careful program does it: written beside under a hidden name, then renamed."""
        promise(self._inbox.is_dir(), "the watched folder is there")
        hidden = self._inbox / f".{name}"
        shutil.copyfile(RECORDINGS / name, hidden)
        return hidden.rename(self._inbox / name)

    def _hand_over(self, name: str, new_name: str) -> Path:
        return Path(shutil.copyfile(RECORDINGS / name, self._home / new_name))

    def _job_of(self, recording: Path, events: Iterator[DaemonEvent]) -> int:
        for event in events:
            if isinstance(event, JobChanged) and event.job.path == str(recording):
                return event.job.id
        raise DemoFailed("the daemon stays")

    def _finished(self, job_id: int) -> JobView:
        with ProgressBars(self._console, [job_id]) as bars, _deadline(JOB_SECONDS):
            narrated = self._narrated(job_id, bars)
            job = next(follow(self._daemon, [job_id], narrated))
        promise(job.status == "done", f"job {job_id} is done, not {job.status}: {job.error}")
        return job

    def _narrated(self, job_id: int, bars: ProgressBars) -> Callable[[DaemonEvent], None]:
        """Each attempt when it ends; and each phase where there is no terminal for bars."""
        told: set[str] = set()

        def tell(line: str) -> None:
            if line not in told:
                told.add(line)
                with bars.aside():
                    self._console.print(f"    {line}")

        def heard(event: DaemonEvent) -> None:
            bars(event)
            match event:
                case JobChanged(job=job) if job.id == job_id:
                    for number, attempt in enumerate(job.attempts, start=1):
                        ended = f"crashed: {attempt.signal}" if attempt.signal else attempt.outcome
                        during = f" while {phase_words('', attempt.phase)}" if attempt.phase else ""
                        tell(f"{number}. {attempt.role} ({attempt.engine}) {ended}{during}")
                case JobProgressed(running=running) if running.id == job_id and running.phase is not None:
                    if not self._console.is_terminal:
                        tell(f"{phase_words(running.status, running.phase)} …")
                case _:
                    pass

        return heard

    def _show(self, job: JobView) -> None:
        written = json.loads(Path(job.outputs["json"]).read_text(encoding="utf-8"))
        words = written["word_segments"]
        promise(" ".join(word["word"] for word in words) == written["text"], "the words, joined, are the text")
        promise(Path(job.outputs["srt"]).stat().st_size, "the subtitles are there")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 4), show_header=False)
        for word in words[:WORDS_SHOWN]:
            table.add_row(f"{word['start']:6.2f}", f"{word['end']:6.2f}", word["word"])
        self._console.print(table)
        self._console.print(
            f"    … {len(words)} words in all; {', '.join(Path(p).name for p in job.outputs.values())}"
        )
        self._console.print(f"    [italic]{written['text']}[/italic]")

    def _say(self, what: str) -> None:
        self._console.print(f"\n[bold]•[/bold] {what}")


def _is_transcribing(event: DaemonEvent, job_id: int) -> bool:
    return isinstance(event, JobProgressed) and event.running.id == job_id and event.running.phase == "transcribing"


def _aligner_is_busy(event: DaemonEvent, job_id: int) -> bool:
    return isinstance(event, WorkerChanged) and event.worker.role == "aligner" and event.worker.state == "busy"


def _is_finished(event: DaemonEvent, job_id: int) -> bool:
    return isinstance(event, JobChanged) and event.job.id == job_id and event.job.status in ("done", "failed")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Ends a wait that has no deadline of its own."""

    def too_late(number: int, frame: FrameType | None) -> None:
        raise DemoFailed(f"it is done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """The exit code: 0 only if all of it happened."""
    console = Console(highlight=False)
    began = time.monotonic()
    # Not the system's own temporary folder: on macOS its path is too long for a socket.
    home = Path(tempfile.mkdtemp(prefix="steno-demo-", dir="/tmp"))
    try:
        Demonstration(console, home).run()
    except (DemoFailed, NoDaemon, Refusal, KeyError, OSError, subprocess.TimeoutExpired) as failure:
        if isinstance(failure, OSError) and failure.filename == STDOUT:
            raise
        console.print(f"\n[bold red]The demo failed.[/bold red] Expected, but not seen: {failure}")
        with suppress(OSError):
            console.print((home / "daemon.log").read_text(encoding="utf-8")[-4000:], markup=False)
        return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    seconds = time.monotonic() - began
    console.print(
        f"\n[bold green]Demo passed:[/bold green] three recordings, two crashes, a timestamp for every word, "
        f"and nothing left behind. {seconds:.0f} s."
    )
    return 0


if __name__ == "__main__":
    with_streams(lambda: sys.exit(main()))
