"""The token of the TCP listener: 256 random bits in a private file, made when it is first needed.

Runs in: supervisor, and the user's shell.

Stands alone: the daemon checks it, and `steno http token` prints it.
"""

import os
import secrets
from pathlib import Path

from ipc.durable_file import write_durably

TOKEN_BYTES = 32
NAME = "http-token"


def token_file(state: Path) -> Path:
    """Where it lies."""
    return state / NAME


def read_token(state: Path) -> str:
    """The token of this installation, created if there is none. Raises OSError."""
    file = token_file(state)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return new_token(state)
    with os.fdopen(descriptor, encoding="ascii") as opened:
        os.fchmod(opened.fileno(), 0o600)
        return opened.read(4096).strip() or new_token(state)


def new_token(state: Path) -> str:
    """Replaces the token; a running daemon uses the new one after `steno config reload`. Raises OSError."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_durably(token_file(state), f"{token}\n".encode("ascii"))
    return token
