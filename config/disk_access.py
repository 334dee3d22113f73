"""Full Disk Access of macOS: which program needs it, and how its user gives it. All who speak of it ask here.

Runs in: every process.
"""

import os
import sys
from pathlib import Path

import psutil


def program_of_this_process() -> Path:
    """The program that macOS grants folders to when this process opens a file.

    Not sys.executable: that is a link of the virtual environment, and behind it a framework's `python` starts
    another program, its Python.app.
    """
    try:
        running = psutil.Process().exe()
    except (psutil.Error, OSError):
        running = ""
    return granted_program(Path(running or os.path.realpath(sys.executable)))


def granted_program(executable: Path) -> Path:
    """The innermost application that the executable lies in, for the system's dialog takes no file inside one."""
    return next((folder for folder in executable.parents if folder.suffix == ".app"), executable)


def how_to_allow(program: Path) -> str:
    """What the user does, the path on a line of its own: the system's dialog hides `.venv` and `/opt`."""
    return (
        "System Settings → Privacy & Security → Full Disk Access → +, press Cmd-Shift-G, enter the path below, "
        f"then `steno service restart`:\n{program}"
    )
