"""The folder that the machine boots from: Debian 12, a user, and two installations of stenod. Made once.

Runs in: the systemd test.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".systemd"
PACKAGES = ROOT / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
TOOLS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
"""Program → Debian's package."""
INCLUDED = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,sudo,python3,python3-venv,procps"
DEBIAN_PYTHON = (3, 11)
USER = "anna"
FIRST, SECOND = "/opt/stenod", "/opt/stenod-2"
"""Two installations: the second plays the upgrade."""
DOWNLOAD_SECONDS = 900
COMMAND_SECONDS = 120


class MachineRefused(Exception):
    """The test cannot run here; the message says what to do."""


def require() -> None:
    """Raises MachineRefused where root, a tool or the right Python is missing."""
    if sys.platform != "linux":
        raise MachineRefused("systemd runs on Linux only; on a Mac there is nothing to test here")
    if os.geteuid() != 0:
        raise MachineRefused("booting a machine needs root: sudo make systemd-test")
    if missing := sorted(package for tool, package in TOOLS.items() if shutil.which(tool) is None):
        raise MachineRefused(f"missing tools: apt-get install {' '.join(missing)}")
    if sys.version_info[:2] != DEBIAN_PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        raise MachineRefused(f"Debian 12 has Python 3.11, and .venv has {found}: make clean setup with python3.11")


def debian() -> Path:
    """The folder; made under another name and renamed, so that an interrupted run leaves no half of one."""
    folder = CACHE / "debian"
    if folder.exists():
        return folder
    half = CACHE / "unfinished"
    # An interrupted debootstrap may have left its /proc mounted in there.
    _run(COMMAND_SECONDS, "rm", "--recursive", "--force", "--one-file-system", str(half))
    half.parent.mkdir(exist_ok=True)
    _run(DOWNLOAD_SECONDS, "debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(half))
    _run(COMMAND_SECONDS, "chroot", str(half), "useradd", "--create-home", "--shell", "/bin/bash", USER)
    (half / "etc/sudoers.d/anna").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    (half / "etc/hostname").write_text("stenod-test\n")
    (half / "etc/hosts").write_text("127.0.0.1 localhost stenod-test\n")
    for installation in (FIRST, SECOND):
        _install(half, installation)
    return half.rename(folder)


def mounts() -> list[str]:
    """systemd-nspawn's arguments: the rooms of this working tree and the packages of its `.venv`, read-only."""
    folders = [*(file.parent.name for file in ROOT.glob("*/__init__.py")), "distribution"]
    return [
        f"--bind-ro={PACKAGES}:/opt/packages",
        *(f"--bind-ro={ROOT / folder}:{code}/{folder}" for code in (FIRST, SECOND) for folder in folders),
    ]


def _install(root: Path, code: str) -> None:
    """Debian's Python in a virtual environment that finds our code and our packages, and the `steno` command."""
    _run(COMMAND_SECONDS, "chroot", str(root), "python3", "-m", "venv", "--without-pip", f"{code}/.venv")
    environment = root / code.removeprefix("/") / ".venv"
    (environment / "lib/python3.11/site-packages/stenod.pth").write_text(
        f"{code}\n{code}/distribution\n/opt/packages\n"
    )
    steno = environment / "bin/steno"
    steno.write_text(f"#!{code}/.venv/bin/python\nfrom stenod.__main__ import main\nmain()\n")
    steno.chmod(0o755)


def _run(seconds: float, *words: str) -> None:
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    if ended.returncode != 0:
        raise MachineRefused(f"`{' '.join(words)}` failed with {ended.returncode}:\n{ended.stdout[-2000:]}")
