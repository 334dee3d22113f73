"""The booted machine: commands in it, as root or in a login session of its user; and its end.

Runs in: the systemd test.
"""

import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil

from systemd.debian import USER, MachineRefused, debian, mounts

BOOT_SECONDS = 60.0
COMMAND_SECONDS = 120.0
POWER_OFF_SECONDS = 40.0
BETWEEN_LOOKS_SECONDS = 0.02
Seen = TypeVar("Seen")


class StepFailed(AssertionError):
    """Something in the machine is not as it should be."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command in the machine ended."""

    exit_code: int
    output: str
    """stdout and stderr."""


class Container:
    """systemd as process 1 of its own processes, mounts and network. Not known to the machine around it."""

    def __init__(self) -> None:
        self._console = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by _stop)
        self._nspawn: psutil.Popen | None = None
        self._init = 0

    def __enter__(self) -> Self:
        arguments = (
            "--quiet",
            "--boot",
            "--register=no",
            "--private-network",
            "--volatile=overlay",
            "--link-journal=no",
        )
        # systemd would give the machine a scope; without one around us there is none to be had.
        keep = () if Path("/run/systemd/system").exists() else ("--keep-unit",)
        self._nspawn = psutil.Popen(
            ["systemd-nspawn", *arguments, *keep, f"--directory={debian()}", *mounts()],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
        )
        try:
            self._init = self.until(BOOT_SECONDS, "process 1", self._find_init)
            self.until(BOOT_SECONDS, "a finished boot", self._is_booted)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _find_init(self) -> int | None:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            self._console.seek(0)
            raise MachineRefused(f"systemd-nspawn ended with {self._nspawn.returncode}:\n{self._console.read()}")
        inits = [child for child in self._nspawn.children() if child.name() == "systemd"]
        return inits[0].pid if inits else None

    def _is_booted(self) -> bool:
        return self.root("systemctl is-system-running").output.strip() in ("running", "degraded")

    def _stop(self) -> None:
        if self._nspawn is None:
            return
        if self._nspawn.is_running():
            self._nspawn.send_signal(signal.SIGTERM)  # an orderly power-off of the machine within
            try:
                self._nspawn.wait(POWER_OFF_SECONDS)
            except psutil.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(POWER_OFF_SECONDS)
        self._console.close()

    # --- commands --------------------------------------------------------------------------------------------

    def root(self, command: str) -> Ended:
        """A shell's command, as root; no session."""
        inside = ("nsenter", f"--target={self._init}", "--all", "--wdns=/", "/bin/sh", "-c", command)
        ended = subprocess.run(
            inside,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
        )
        return Ended(ended.returncode, ended.stdout)

    def log_in(self, command: str, **variables: str) -> Ended:
        """A command of the user's, in a session that begins and ends with it, as one over SSH does."""
        variables = {"LC_ALL": "C.UTF-8", **variables}
        words = (
            *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--uid={USER}"),
            *("--property=PAMName=login", f"--working-directory=/home/{USER}"),
            *(f"--setenv={name}={value}" for name, value in variables.items()),
            *("/bin/sh", "-c", command),
        )
        return self.root(shlex.join(words))

    def steno(self, words: str, installation: str, **variables: str) -> str:
        """The output of a `steno` of the user's that succeeds."""
        ended = self.log_in(f"{installation}/.venv/bin/steno {words} 2>&1", **variables)
        print(*(f"    {line}" for line in (f"$ steno {words}", *ended.output.splitlines())), sep="\n")
        if ended.exit_code != 0:
            raise StepFailed(f"steno {words}: exit code {ended.exit_code}\n{ended.output}")
        return ended.output

    # --- what there is ---------------------------------------------------------------------------------------

    def daemons(self) -> list[psutil.Process]:
        """Every process of the machine that runs our code; their numbers are those of the machine around it."""
        found = []
        for process in psutil.Process(self._init).children(recursive=True):
            try:
                if process.cmdline()[0].startswith("/opt/stenod"):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
                continue
        return found

    def path(self, path: str) -> Path:
        """A path of the machine, as seen from here."""
        return Path(f"/proc/{self._init}/root") / path.removeprefix("/")

    def until(self, seconds: float, what: str, look: Callable[[], Seen | None]) -> Seen:
        """What `look` finds. Raises StepFailed if that stays nothing. Nothing wakes us."""
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > deadline:
                raise StepFailed(f"within {seconds:.0f} s: {what}")
            time.sleep(BETWEEN_LOOKS_SECONDS)
        return seen
