"""The unit that tells systemd how to keep the daemon: pure, with systemd's own rules of quoting.

Runs in: the installer.

stderr goes to the journal, which turns itself over: so the daemon is not quiet here, and `journalctl` tells all.
"""

from collections.abc import Iterable

from launchd.installation import ARGUMENTS, BETWEEN_STARTS_SECONDS, STOP_SECONDS, Installation
from launchd.template import filled, read_template

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "%": "%%"})


def unit_file(installation: Installation) -> str:
    """The whole file, commented."""
    is_system = installation.is_system
    environment = [f"{name}={value}" for name, value in installation.environment.items()]
    return filled(
        read_template("stenod.service"),
        {
            "ExecStart": f"ExecStart={command_line((str(installation.interpreter), *ARGUMENTS))}",
            "User": f"User={installation.owner.name}" if is_system else None,
            # The rest of the line is the path, spaces and quotes included.
            "WorkingDirectory": f"WorkingDirectory={str(installation.owner.home).replace('%', '%%')}",
            "Environment": "\n".join(f"Environment={quoted(one)}" for one in environment),
            "RestartSec": f"RestartSec={BETWEEN_STARTS_SECONDS}",
            "TimeoutStopSec": f"TimeoutStopSec={STOP_SECONDS}",
            "ProtectSystem": "ProtectSystem=full" if is_system else None,
            "WantedBy": f"WantedBy={'multi-user.target' if is_system else 'default.target'}",
        },
    )


def command_line(words: Iterable[str]) -> str:
    """ExecStart's value. `$` would be a variable's name, and in the program's own path cannot be doubled; a colon in
    front (systemd 244) makes it a letter like others."""
    line = " ".join(map(quoted, words))
    return f":{line}" if "$" in line else line


def quoted(word: str) -> str:
    """One word, inside which systemd sees neither spaces, quotes, escapes nor `%` specifiers (systemd.syntax(7))."""
    return f'"{word.translate(ESCAPES)}"'
