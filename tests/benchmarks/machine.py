"""Which machine this is, what is installed on it, and whether somebody else is using it.

Runs in: the benchmark.
"""

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.contestants.contestant import PEERS, ROOT
from benchmarks.figures import Machine

PACKAGES = (
    *("whisperx", "faster-whisper", "ctranslate2", "torch", "transformers", "mlx", "mlx-whisper", "onnxruntime"),
    *("av", "numpy"),
)
LISTENED_SECONDS = 2.0
ASK_PEERS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"
print(json.dumps([installed(name) for name in sys.argv[1:]]))
"""


def this_machine() -> Machine:
    return Machine(
        cpu=_processor(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=_system(),
        python=platform.python_version(),
        commit=_commit(),
        versions=_versions(PACKAGES),
    )


def others_share() -> float:
    """How much of the machine is in use while we do nothing, 0 to 1; listens for two seconds."""
    return psutil.cpu_percent(interval=LISTENED_SECONDS) / 100


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        said = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, timeout=10, check=False
        )
        return said.stdout.strip() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _commit() -> str:
    """The commit that was measured, and whether the folder differs from it; but for the results themselves."""
    asked = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run(
            [*asked, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*asked, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/benchmarks/RESULTS.md"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return f"{version('stenod')}, not from a git repository"
    return f"{version('stenod')}, commit {commit}{' and changes on top' if changed else ''}"


def _versions(packages: Sequence[str]) -> dict[str, tuple[str, str]]:
    said = subprocess.run(
        [str(PEERS / "python"), "-c", ASK_PEERS, *packages], capture_output=True, text=True, timeout=60, check=True
    )
    return {name: (_installed(name), theirs) for name, theirs in zip(packages, json.loads(said.stdout), strict=True)}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"
