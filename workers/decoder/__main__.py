"""`python -P -m stenod -m workers.decoder [--forks] LINE PARENT`: decodes one recording in a sandboxed process.

Runs in: worker (the decoder, one child process for each recording).

It loads its libraries, waits for its request, opens the recording, checks that it is the right one, enters the
sandbox, and only then reads the first byte. With `--forks` it loads once, and forked copies do the rest. `--probe`
enters the sandbox immediately and reports the result, for `steno doctor`.
"""

import faulthandler
import multiprocessing
import os
import signal
import socket
import sys
from typing import NoReturn

from workers.decoder.fork_server import FORKS, NAME, copies
from workers.parent_death import call_this_process, end_with_parent

PROBE = "--probe"
BLOCK_BYTES = 65_536


def main(words: list[str]) -> NoReturn:
    """The decoder's main function; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the supervisor.
    faulthandler.enable()
    multiprocessing.current_process().name = NAME
    call_this_process(NAME)
    if words == [PROBE]:
        from workers.decoder.probe import probe

        probe()
        os._exit(0)
    *words, connection_number, parent_number = words
    connection, parent_pid = socket.socket(fileno=int(connection_number)), int(parent_number)
    end_with_parent(parent_pid)
    import config.lean_structlog  # noqa: F401 - before the first module that logs
    from ipc.failpoints import hit
    from workers.decoder.decode_one import decode_once, get_ready

    get_ready()
    if FORKS in words:
        connection = copies(connection)
        end_with_parent(parent_pid)
    # In each decoder, started or forked: the fork server itself reads no recording.
    hit("decoder_spawned")
    hit("decoder_warm")
    request, pcm = _request(connection)
    decode_once(request, pcm, connection.fileno())
    os._exit(0)


def _request(connection: socket.socket) -> tuple[bytes, int]:
    """The request as bytes, and the descriptor of the PCM file. End of file ends this process."""
    piece, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    said = piece
    while piece and not said.endswith(b"\n"):
        piece = connection.recv(BLOCK_BYTES)
        said += piece
    if not piece:
        os._exit(0)
    return said, descriptors[0]


if __name__ == "__main__":
    main(sys.argv[1:])
