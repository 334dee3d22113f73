"""A daemon for one command: the same supervisor, in a temporary folder.

Runs in: the user's shell.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from client.daemon import here
from client.daemon.connection import DaemonClient
from client.daemon.private_ledger import PrivateLedger
from client.terminal.errors import NoDaemon, Refusal
from config.ownership import make_private
from config.places import Places, find_places
from ipc.events import DaemonEvent, JobChanged, WorkerChanged
from ipc.status_views import WorkerView

START_SECONDS = 30.0
"""From the process to its first answer; models load after that."""
STOP_SECONDS = 12.0
"""The supervisor stops within ten."""
BETWEEN_TRIES_SECONDS = 0.05
NO_HOOKS = dict.fromkeys(("STENO_HOOKS_ON_DONE", "STENO_HOOKS_ON_FAILED", "STENO_HOOKS_ON_DEGRADED"), "''")
"""A user who waits for one file sees it finish; and this daemon would stop a hook halfway."""
SHORT_PLACE = "/tmp"
"""macOS's own temporary folders are too deep for a socket's path."""


class FailIfTranscriberGivesUp:
    """Hears what happens, and raises Refusal once a private daemon's transcriber will not come back."""

    def __init__(self, daemon: DaemonClient) -> None:
        self._daemon = daemon
        self._was_broken = False
        self._breakdowns = 0

    def __call__(self, event: DaemonEvent) -> None:
        match event:
            case JobChanged(job=job) if job.status == "waiting":
                # Also the first thing heard: it may have broken before we listened.
                workers = self._daemon.status().workers
            case WorkerChanged(worker=worker):
                workers = (worker,)
            case _:
                return
        for worker in workers:
            if worker.role == "transcriber":
                self._judge(worker)

    def _judge(self, worker: WorkerView) -> None:
        broken = worker.state == "broken"
        self._breakdowns += broken and not self._was_broken
        self._was_broken = broken
        # One that never crashed refused to load, and will again. After crashes the fallback or a probe follows.
        if broken and (worker.last_death is None or self._breakdowns > 1):
            why = worker.note or "the transcriber keeps crashing"
            raise Refusal("no_transcriber", why, "`steno models` shows what is on disk; --model names another")


@contextmanager
def private_daemon(wishes: Mapping[str, str], *, remembers_files: bool = False) -> Iterator[DaemonClient]:
    """A running daemon with these settings (`STENO_MODEL` → `tiny.en`) over those of this environment.

    It watches nothing of the owner's, shares the owner's models, and ends with the block, however that ends.
    `remembers_files`: what it wrote is its own for the next one, too. Raises Refusal with the daemon's own words if
    it does not start.
    """
    owner = here.places()
    home = Path(tempfile.mkdtemp(prefix="steno-", dir=SHORT_PLACE))
    try:
        places = find_places({"STENO_HOME": str(home)})
        inbox = str(home / "Transcribe")
        environment = {**os.environ, **NO_HOOKS, **wishes, "STENO_HOME": str(home), "STENO_WATCH": inbox}
        complaints = home / "stderr"
        _furnish(home, owner)
        with PrivateLedger.lent(owner, places) if remembers_files else nullcontext() as ledger, _ended_by_signals():
            process, is_whole = _start(environment, complaints), False
            try:
                with DaemonClient(places.socket) as daemon:
                    try:
                        _await_answer(daemon, process, complaints)
                    except Refusal:
                        if ledger is None or not ledger.drop():
                            raise
                        process = _start(environment, complaints)
                        _await_answer(daemon, process, complaints)
                    try:
                        yield daemon
                    finally:
                        is_whole = ledger is not None and ledger.forget_jobs(places.socket)
            finally:
                _stop(process)
                if ledger is not None and is_whole and process.returncode == 0:
                    ledger.keep()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _start(environment: Mapping[str, str], complaints: Path) -> subprocess.Popen[bytes]:
    with complaints.open("wb") as stderr:
        return subprocess.Popen(
            here.SUPERVISOR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            # Ctrl-C is for this command alone, which then stops the daemon in order.
            process_group=0,
        )


def _furnish(home: Path, owner: Places) -> None:
    """The owner's settings and models, by links: nothing is loaded or converted twice."""
    make_private(owner.models)
    (home / "models").symlink_to(owner.models, target_is_directory=True)
    for file in (owner.config_file, owner.config_file.with_name(".env.pipeline")):
        if file.exists():
            (home / file.name).symlink_to(file)


def _await_answer(daemon: DaemonClient, process: subprocess.Popen[bytes], complaints: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            daemon.status()
            return
        except NoDaemon as not_yet:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(BETWEEN_TRIES_SECONDS)  # nothing wakes us when a socket appears
                continue
            said = complaints.read_text(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit code {process.poll()}"
            raise Refusal("no_private_daemon", f"the daemon did not start: {why}", "`steno serve` shows more") from (
                not_yet
            )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # The workers see their pipes close and exit.
        process.kill()
        process.wait()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind this command, so that its daemon is stopped and its folder removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {ending: signal.signal(ending, leave) for ending in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
