"""What this machine is, in the words of a person who compares machines.

Runs in: the user's shell.
"""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import psutil

from ipc.transcript import Value

CHIP = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
FAST_CORES = ("/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu")
ANSWER_SECONDS = 2.0
THAT_MATTER = (
    "stenod",
    "mlx",
    "mlx-whisper",
    "faster-whisper",
    "ctranslate2",
    "whisperx",
    "torch",
    "transformers",
    "onnxruntime",
)
"""Packages whose version can make a difference to a speed."""


class Machine(Value):
    """What speeds depend on, and nothing that tells whose machine it is."""

    chip: str
    """`Apple M4 Pro`, `AMD EPYC`."""
    cores: int
    fast_cores: int | None
    """Of an Apple chip; None: all are alike."""
    memory_bytes: int
    system: str
    """`macOS 15.1`, `Debian GNU/Linux 12 (bookworm)`."""
    python: str
    versions: dict[str, str]
    """Package → version."""


def this_machine() -> Machine:
    """Asks the system; what does not answer is `unknown`."""
    found = {name: installed(name) for name in THAT_MATTER}
    return Machine(
        chip=_answer(CHIP) or chip_in(_read(Path("/proc/cpuinfo"))) or platform.processor() or platform.machine(),
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        fast_cores=int(fast) if (fast := _answer(FAST_CORES)).isdigit() else None,
        memory_bytes=psutil.virtual_memory().total,
        system=_system(),
        python=platform.python_version(),
        versions={name: version for name, version in found.items() if version is not None},
    )


def installed(name: str) -> str | None:
    """The version of a package in this Python, by its own metadata."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def chip_in(cpuinfo: str) -> str:
    """The processor's name in what Linux says about it; empty where an ARM board says none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return ""


def _system() -> str:
    if version := platform.mac_ver()[0]:
        return f"macOS {version}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _answer(command: tuple[str, ...]) -> str:
    """What sysctl says on a Mac; nothing elsewhere."""
    if platform.system() != "Darwin":
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
