"""docs/terminal.svg: real commands on a real terminal, answered by a real daemon with the starter models.

Runs in: `make picture`. The daemon has a home of its own, which is gone afterwards.
"""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from daemon_under_test import DaemonUnderTest
from eventually import eventually
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "terminal.svg"
STENO = Path(sys.executable).with_name("steno")
COLUMNS = 92
STARTER = {"WHISPER_BACKEND": "whisperx", "STENO_MODEL": "starter", "STENO_ALIGNMENT_MODEL": "starter"}
COMMANDS = (
    "steno status",
    "steno submit talk.flac -f srt,json",
    "steno wait 1",
    "steno show 1",
    "head -7 talk.srt",
)
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]")
"""What moves the cursor; colours stay."""


def on_a_terminal(command: str, home: Path, environment: dict[str, str]) -> str:
    """All that a command prints on a terminal. It must not redraw anything."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, COLUMNS))
    child = subprocess.Popen(
        ["sh", "-c", command], cwd=home, env=environment, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    printed = bytearray()
    while True:
        try:
            piece = os.read(master, 65_536)
        except OSError:  # Linux: the last program has closed the terminal
            break
        if not piece:
            break
        printed += piece
    os.close(master)
    if child.wait(120) != 0:
        raise RuntimeError(f"{command} ended with {child.returncode}: {printed.decode(errors='replace')}")
    return MOVES.sub("", printed.decode().replace("\r\n", "\n"))


def main() -> int:
    """Draws the picture anew."""
    home = Path(tempfile.mkdtemp(prefix="steno-picture-", dir="/tmp"))
    daemon = DaemonUnderTest(home / "steno", STARTER)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    try:
        shutil.copy(ROOT / "client" / "recordings" / "talk.flac", home)
        daemon.home.mkdir()
        daemon.start()
        eventually(lambda: all(worker["state"] == "ready" for worker in daemon.get("/v1/status")["workers"]), 60)
        own = {
            **daemon.environment,
            "HOME": str(home),
            "TERM": "xterm-256color",
            "PATH": f"{STENO.parent}:/usr/bin:/bin",
        }
        environment = {**own, "STENO_HOME": str(home / "steno"), "LANG": "C.UTF-8"}
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            printed = on_a_terminal(command, home, environment).rstrip("\n")
            console.print(Text.from_ansi(printed.replace(f"{home}/steno", "~").replace(str(home), "~")))
            console.print()
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()
        shutil.rmtree(home, ignore_errors=True)
    console.save_svg(str(PICTURE), title="stenod")
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} drawn\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
