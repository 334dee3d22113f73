"""The benchmark's side of a comparison: a process that has loaded one competitor and waits for its turn.

Runs in: the benchmark.
"""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TESTS = Path(__file__).parents[2]
ROOT = TESTS.parent
TEST_PATH = f"{TESTS}{os.pathsep}{TESTS / 'support'}"
PEERS = ROOT / ".bench" / "bin"
"""Where `make bench-setup` puts the peers' programs."""
PUNKT = TESTS / "support" / "nltk_data"

LOAD_SECONDS = 300.0
TURN_SECONDS = 3600.0
"""An hour of sound through the slowest competitor on a slow machine."""
LEAVE_SECONDS = 20.0

OF_THIS_SHELL = ("WHISPER_BACKEND", "ALIGNMENT_BACKEND", "VIRTUAL_ENV", "OMP_NUM_THREADS")


class ContestantFailed(Exception):
    """It died or was silent for too long; the message ends with its last words."""


def environment_of(threads: int) -> dict[str, str]:
    """What both sides run under: offline, with so many threads (0: their own choice), without this shell's stenod."""
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith("STENO_") and name not in OF_THIS_SHELL
        },
        **({"OMP_NUM_THREADS": str(threads)} if threads else {}),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "NLTK_DATA": str(PUNKT),
        "TOKENIZERS_PARALLELISM": "false",
    }


def peers_environment(threads: int) -> dict[str, str]:
    """The same with the peers' programs first, `ffmpeg` among them."""
    environment = environment_of(threads)
    return {**environment, "PATH": f"{PEERS}{os.pathsep}{environment.get('PATH', os.defpath)}"}


class Contestant:
    """One competitor, loaded. Every wait has an end."""

    def __init__(
        self, python: Path, module: str, name: str, setup: Mapping[str, object], environment: Mapping[str, str]
    ) -> None:
        """Returns once it is loaded. `log` in the setup names the file that takes its stderr."""
        self.name = name
        self.log = Path(str(setup["log"]))
        with self.log.open("ab") as complaints:
            self._process = subprocess.Popen(
                [str(python), "-P", "-m", f"benchmarks.{module}", name, json.dumps(setup)],
                env={**environment, "PYTHONPATH": TEST_PATH},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd="/",
            )
        self._received = b""
        self.loaded = self._answer(LOAD_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def turn(self, **asked: object) -> dict[str, Any]:
        """What it answers: at least `seconds`, `cpu_seconds` and `peak_bytes`. Raises ContestantFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("is gone") from None
        return self._answer(TURN_SECONDS)

    def close(self) -> None:
        """It leaves when nothing more is asked, and is made to if it does not."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self, within_seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + within_seconds
        with selectors.DefaultSelector() as wakers:
            wakers.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not wakers.select(max(0.0, deadline - time.monotonic())):
                    self._process.kill()
                    raise self._failed(f"was silent for {within_seconds:.0f} s")
                piece = os.read(self._process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise self._failed("died")
                self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self, how: str) -> ContestantFailed:
        self._process.wait()
        said = self.log.read_text(errors="replace").strip()[-2000:]
        return ContestantFailed(f"{self.name} {how} (exit code {self._process.returncode}):\n{said}")
