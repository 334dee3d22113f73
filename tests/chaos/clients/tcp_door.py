"""A TCP port in front of a Unix socket, for tools that know no other way.

Runs in: the chaos run.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PIECE_BYTES = 65_536


@contextmanager
def tcp_door(path: Path) -> Iterator[int]:
    """The port on 127.0.0.1; every connection to it is one to the socket at `path`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_let_in, args=(listener, path), name="tcp door", daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            # A close alone would leave the thread in accept.
            listener.shutdown(socket.SHUT_RDWR)


def _let_in(listener: socket.socket, path: Path) -> None:
    with suppress(OSError):
        while True:
            outside, _ = listener.accept()
            inside = socket.socket(socket.AF_UNIX)
            try:
                inside.connect(str(path))
            except OSError:
                inside.close()
                outside.close()
                continue
            for source, target in ((outside, inside), (inside, outside)):
                threading.Thread(target=_carry, args=(source, target), name="tcp door", daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
