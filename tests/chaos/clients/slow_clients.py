"""Clients that never finish a request: one byte a second each, and back at once when they are turned away.

Runs in: a process of its own.
"""

import heapq
import socket
import time
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

REQUEST = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n" + b" " * 50
BETWEEN_BYTES_SECONDS = 1.0


def dawdle(path: Path, clients: int, over: Event) -> None:
    """Until `over` is set; their seconds are spread evenly."""
    began = time.monotonic()
    due = [(began + BETWEEN_BYTES_SECONDS * number / clients, number) for number in range(clients)]
    lines: dict[int, tuple[socket.socket, int]] = {}
    while not over.wait(max(0.0, due[0][0] - time.monotonic())):
        at, number = due[0]
        heapq.heapreplace(due, (at + BETWEEN_BYTES_SECONDS, number))
        line, said = lines.get(number) or (_line(path), 0)
        try:
            line.send(REQUEST[said : said + 1])
            lines[number] = line, (said + 1) % len(REQUEST)
        except OSError:
            line.close()
            lines[number] = _line(path), 0
    for line, _ in lines.values():
        line.close()


def _line(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.setblocking(False)
    with suppress(OSError):
        line.connect(str(path))
    return line
