"""A complete daemon as a user runs it: its own home, its real socket, engines that the test chooses.

Runs in: the test process.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from eventually import eventually
from no_leftovers import lives
from recordings import MEMO, TALK

from ipc.program import program

__all__ = ["MEMO", "STARTERS", "TALK", "DaemonUnderTest", "a_daemon"]

SUPPORT = Path(__file__).parent
DOUBLE = [path for path in sys.path if path.endswith("/mac_double")]
"""The double of macOS, in a run that has it."""
TEST_PATH = os.pathsep.join([str(SUPPORT.parent), str(SUPPORT), *DOUBLE])
"""PYTHONPATH of a process that loads fakes, or a module of the tests."""
START_SECONDS = 90.0
"""Generous, for a busy machine: a test that needs exact times measures them itself."""

QUICK = {
    "STENO_WATCHING_SETTLE_SECONDS": "0.3",
    "STENO_WATCHING_SCAN_SECONDS": "1",
    "STENO_WATCHING_POLLING_SECONDS": "1",
    "STENO_ALLOW_DOWNLOAD": "false",
    "STENO_RESTARTS_FIRST_DELAY_SECONDS": "0.05",
}
FAKES = {
    "WHISPER_BACKEND": "fake_engines:EchoTranscriber",
    "ALIGNMENT_BACKEND": "fake_engines:EchoAligner",
    "STENO_WORKERS_FALLBACK": "false",
}
STARTERS = {"STENO_MODEL": "starter", "STENO_ALIGNMENT_MODEL": "starter"}


class DaemonUnderTest:
    """Started, queried and killed from the outside."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("STENO_", "WHISPER_"))},
            "PYTHONPATH": TEST_PATH,
            "STENO_HOME": str(home),
            **QUICK,
            **environment,
        }
        self.command = list(program("supervisor"))
        self.process: subprocess.Popen[bytes] | None = None
        self.socket = home / "run" / "stenod.sock"
        self.inbox = home / "Transcribe"
        self.log = home / "stderr.log"

    def start(self) -> None:
        """Returns when the socket responds."""
        self.launch()
        eventually(self.answers, START_SECONDS, f"the socket answers; see {self.log}")

    def launch(self) -> None:
        """Returns immediately."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd="/", stdout=log, stderr=log)

    def answers(self) -> bool:
        """AssertionError if the process has ended."""
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.get("/v1/status"))
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def client(self) -> httpx.Client:
        """Speaks HTTP over the socket."""
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket), verify=False), base_url="http://steno", timeout=10
        )

    def get(self, path: str, **parameters: Any) -> Any:
        with self.client() as client:
            return client.get(path, params=parameters).raise_for_status().json()

    def post(self, path: str, body: object = None) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=body)

    def own(self, recording: Path) -> Path:
        """A copy in a folder below its home, where results can be written beside it."""
        return Path(shutil.copy(recording, self.home))

    def submit(self, recording: Path, **options: object) -> int:
        assert recording.parent != MEMO.parent or "output_dir" in options, "results do not belong in the package"
        answer = self.post("/v1/jobs", {"path": str(recording), "options": options})
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["id"])

    def job(self, job_id: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.get(f"/v1/jobs/{job_id}")
        return answer

    def finished(self, job_id: int, within_seconds: float = 60) -> dict[str, Any]:
        """The job once it is done, failed or cancelled."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in ("done", "failed", "cancelled") else None

        job = eventually(look, within_seconds, f"job {job_id} finishes; see {self.log}")
        assert job is not None
        return job

    def worker(self, role: str) -> dict[str, Any]:
        answer: dict[str, Any] = next(w for w in self.get("/v1/status")["workers"] if w["role"] == role)
        return answer

    def wait_for_worker(self, role: str, test: Callable[[dict[str, Any]], bool], within_seconds: float = 30) -> None:
        eventually(lambda: test(self.worker(role)), within_seconds, f"{role}: {self.worker(role)}")

    def kill_worker(self, role: str, how: signal.Signals = signal.SIGSEGV, when: str = "busy") -> int:
        """Kills the worker once it is in that state; its pid."""
        self.wait_for_worker(role, lambda worker: worker["state"] == when and worker["pid"])
        pid = int(self.worker(role)["pid"])
        os.kill(pid, how)
        return pid

    def transcript(self, job: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(Path(job["outputs"]["json"]).read_text(encoding="utf-8"))
        return answer

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def stop(self) -> int:
        """An orderly stop; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        """SIGKILL: the daemon cannot clean up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)


@contextmanager
def a_daemon(config: str = "", **environment: str) -> Iterator[DaemonUnderTest]:
    """A running daemon with fake engines unless `config` sets others; afterwards no child, socket or temp file is
    left.

    `config` is its config.toml, HOME in it the daemon's own home.
    """
    # Not pytest's tmp_path: a socket's path has 103 bytes at most.
    home = Path(tempfile.mkdtemp(prefix="steno-test-", dir="/tmp"))
    (home / "config.toml").write_text(config.replace("HOME", str(home)))
    daemon = DaemonUnderTest(home, {**FAKES, **environment})
    try:
        daemon.start()
        yield daemon
        assert daemon.process is not None
        if daemon.process.poll() is None:
            children = daemon.children()
            assert daemon.stop() == 0, daemon.log.read_text()
            eventually(lambda: not any(map(lives, children)), 2, "no child is left")
        assert not daemon.socket.exists()
        assert not list((home / "spool").iterdir())
        assert not list(home.rglob(".stenod-*"))
    except BaseException:
        print(daemon.log.read_text()[-6000:], file=sys.stderr)
        raise
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        shutil.rmtree(home, ignore_errors=True)
