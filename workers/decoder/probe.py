"""How complete the decoder's sandbox is on this machine, found by entering it.

Runs in: worker (a process that `steno doctor` starts, and that exits afterwards). Stands alone: decoders that decode
do not load it.
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
    """Prints a JSON object: `walls`, `lacks`, and `open`: forbidden actions that still succeed."""
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
