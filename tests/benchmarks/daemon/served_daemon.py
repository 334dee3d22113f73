"""`steno serve` under a home of its own, both workers warm, as a user of the starter models has it.

Runs in: the benchmark.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.contestants.contestant import environment_of
from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon
from config.places import Places, find_places
from ipc.api_messages import JobOptions, JobView
from ipc.events import DaemonEvent, JobChanged
from ipc.transcript import Transcript
from ipc.vocabulary import FINISHED, Workflow

STENO = Path(sys.executable).with_name("steno")
START_SECONDS = 120.0
BETWEEN_LOOKS_SECONDS = 0.1
STOP_SECONDS = 15.0
FORMATS = ("json", "srt", "txt", "tsv", "vtt")
"""What the `whisperx` command writes by default."""


class DaemonFailed(Exception):
    """It did not start, or a job did not come out; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One recording on its way through the daemon."""

    seconds: float
    """From before it was handed over until its files are there."""
    seconds_after_last_segment: float
    """The part of it after all was transcribed."""
    cpu_seconds: float
    """Of supervisor and workers together."""
    spool_bytes: int
    """The most its spool held at any step."""
    spool_left_bytes: int
    """What the spool holds once the job is over."""
    transcript: Transcript


class ServedDaemon:
    """A daemon that runs, asked over its socket or by the command."""

    def __init__(self, home: Path, environment: dict[str, str], pid: int, log: Path) -> None:
        self.home = home
        self.environment = environment
        self.pid = pid
        self._log = log
        self._places: Places = find_places({"STENO_HOME": str(home)})
        self.connection = DaemonClient(self._places.socket)

    def submit_and_wait(self, recording: Path) -> float:
        """Seconds that `steno submit --wait` takes, from its start to its end. Raises DaemonFailed."""
        formats = ",".join(FORMATS)
        command = [str(STENO), "submit", "--wait", "-f", formats, "-o", str(self.home / "out"), str(recording)]
        began = time.perf_counter()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=600)
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise self.failed(f"`steno submit --wait` ended with {done.returncode}: {done.stdout}{done.stderr}")
        return seconds

    def transcribe(self, recording: Path, workflow: Workflow = "subtitle") -> Passage:
        """One recording over the socket, watched by events: nothing is asked while it runs. Raises DaemonFailed."""
        options = JobOptions(workflow=workflow, formats=FORMATS, output_dir=str(self.home / "out"))
        spool_bytes, transcribed_at = 0, 0.0
        cpu_before = self._cpu_seconds()
        with self.connection.events() as events:
            began = time.perf_counter()
            job_id = self.connection.submit(str(recording), options).id
            for event in events:
                now = time.perf_counter()
                spool_bytes = max(spool_bytes, self._spool_bytes())
                if not transcribed_at and _is_transcribed(event, job_id):
                    transcribed_at = now
                if isinstance(event, JobChanged) and event.job.id == job_id and event.job.status in FINISHED:
                    job = event.job
                    break
            else:
                raise self.failed("the daemon stopped in the middle of a job")
        if job.status != "done" or (workflow == "subtitle" and job.timing == "segment"):
            raise self.failed(f"job {job.id} is {job.status}, {job.timing}: {job.error or job.degraded_reason}")
        return Passage(
            seconds=now - began,
            seconds_after_last_segment=now - transcribed_at,
            cpu_seconds=self._cpu_seconds() - cpu_before,
            spool_bytes=spool_bytes,
            spool_left_bytes=self._spool_bytes(),
            transcript=_transcript(job),
        )

    def peak_bytes(self) -> dict[str, int]:
        """`supervisor`, `transcriber`, `aligner` → the most memory each held since it was born; Linux only."""
        pids = {"supervisor": self.pid} | {
            worker.role: worker.pid or 0 for worker in self.connection.status().workers
        }
        return {name: _peak_bytes(pid) for name, pid in pids.items()}

    def failed(self, what: str) -> DaemonFailed:
        return DaemonFailed(f"{what}\n{self._log.read_text(errors='replace')[-2000:]}")

    def _cpu_seconds(self) -> float:
        processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in processes))

    def _spool_bytes(self) -> int:
        total = 0
        for file in self._places.spool.rglob("*"):
            try:
                total += file.lstat().st_size if file.is_file() else 0
            except FileNotFoundError:
                continue  # It goes while we look.
        return total


@contextmanager
def served_daemon(threads: int | None, **settings: str) -> Iterator[ServedDaemon]:
    """A running daemon whose two workers have so many threads together, or as many as they choose themselves; it and
    its home are gone afterwards."""
    # Not the system's own temporary folder: on macOS its path is too long for a socket.
    home = Path(tempfile.mkdtemp(prefix="steno-bench-", dir="/tmp"))
    threads_each = 0 if threads is None else max(1, threads // 2)
    environment = {
        **environment_of(threads_each),
        "STENO_HOME": str(home),
        "STENO_MODEL": "starter",
        "STENO_ALIGNMENT_MODEL": "starter",
        "STENO_LANGUAGE": "en",
        "STENO_ALLOW_DOWNLOAD": "false",
        "STENO_WORKERS_THREADS": str(threads_each),
        "WHISPER_BACKEND": "whisperx",
        "ALIGNMENT_BACKEND": "whisperx",
        **settings,
    }
    log = home / "stderr"
    try:
        with log.open("wb") as complaints:
            process = subprocess.Popen(
                [str(STENO), "serve"], env=environment, stdout=complaints, stderr=complaints, cwd="/"
            )
        daemon = ServedDaemon(home, environment, process.pid, log)
        try:
            _wait_until_warm(daemon, process)
            with daemon.connection:
                yield daemon
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # Its workers see their pipes close and leave.
                process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_warm(daemon: ServedDaemon, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            workers = daemon.connection.status().workers
        except NoDaemon:
            workers = ()  # Nothing wakes us when a socket appears.
        if len(workers) == 2 and all(worker.state == "ready" for worker in workers):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise daemon.failed(f"the workers are not ready: {[(one.role, one.state, one.note) for one in workers]}")
        time.sleep(BETWEEN_LOOKS_SECONDS)


def _is_transcribed(event: DaemonEvent, job_id: int) -> bool:
    """Told once all segments are stored."""
    return (
        isinstance(event, JobChanged)
        and event.job.id == job_id
        and any(attempt.role == "transcriber" and attempt.outcome == "done" for attempt in event.job.attempts)
    )


def _transcript(job: JobView) -> Transcript:
    return Transcript.model_validate_json(Path(job.outputs["json"]).read_bytes())


def _peak_bytes(pid: int) -> int:
    """0 where the system does not keep it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
