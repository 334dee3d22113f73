"""How well a decoder can shut itself in on this machine, found by doing it.

Runs in: worker (a process of `steno doctor`'s, which ends with it). Stands alone: no decoder that decodes loads it.
"""

import contextlib
import json
import os
import socket
import sys

from ipc.decoder_messages import Limits
from workers.sandbox.sandbox import shut_in

PROBE_LIMITS = Limits(file_bytes=1_000_000, cpu_seconds=10)


def probe() -> None:
    """Prints a JSON object: `walls`, `lacks`, and `open`: what it could still do and should not."""
    walls, lacks = shut_in(PROBE_LIMITS)
    still = [name for name, attempt in (("files", _reads_a_file), ("network", _has_a_socket)) if attempt()]
    os.write(1, json.dumps({"walls": walls, "lacks": lacks, "open": still}).encode() + b"\n")


def _reads_a_file() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open(sys.executable, os.O_RDONLY))
        return True
    return False


def _has_a_socket() -> bool:
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET).close()
        return True
    return False
