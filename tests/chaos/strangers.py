"""Row 17: other users, other people's paths, and content that wants to be code.

Runs in: the chaos run. What other users may do is only tried where we are root.
"""

import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import threading
from multiprocessing import Pipe
from pathlib import Path

from daemon_under_test import MEMO

from chaos.broken_daemon import broken_daemon
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.pipe import BadFrame, PipeClosed, receive
from ipc.worker_messages import FROM_WORKER

TITLE = "Strangers"
DEMAND = "another uid is refused; 80 traversals, 10,000 swaps of a symlink, a pickle on the pipe: nothing passes"
TRAVERSALS, SWAPS = 80, 10_000
NOBODY = 65534


def run(trial: Trial) -> Tally:
    """Each part on its own."""
    tally = Tally()
    _another_user(trial, tally)
    _traversals(trial, tally)
    _pickles(tally)
    return tally


def _another_user(trial: Trial, tally: Tally) -> None:
    before = os.umask(0)
    try:
        with broken_daemon(trial.folder / "home") as daemon:
            home = daemon.home
            for folder in ("state", "run", "spool", "logs"):
                mode = (home / folder).stat().st_mode & 0o777
                tally.expect(mode == 0o700, f"with umask 0, {folder} has {mode:o}")
            mode = daemon.socket.stat().st_mode & 0o777
            tally.expect(mode == 0o600, f"with umask 0, the socket has {mode:o}")
            if os.getuid() != 0 or shutil.which("setpriv") is None:
                tally.figures["another uid"] = "not tried: needs root and setpriv"
                return
            # Even where the modes would let it in, the daemon looks at who is there.
            for path in (trial.folder, home, home / "run", daemon.socket):
                path.chmod(0o777)
            asked = (
                "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                r"s.sendall(b'GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');"
                "print(s.makefile('rb').read()[:20])"
            )
            stranger = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
            answer = subprocess.run(
                [*stranger, sys.executable, "-c", asked, str(daemon.socket)],
                capture_output=True,
                text=True,
                timeout=20,
            )
            tally.trials += 1
            tally.faults += 1
            tally.expect("200" not in answer.stdout, f"another uid was answered {answer.stdout!r}")
    finally:
        os.umask(before)


def _traversals(trial: Trial, tally: Tally) -> None:
    """Names of results from templates and options; nothing may appear outside of its folder."""
    luck = trial.luck("traversals")
    parts = ("..", "../..", "/etc", "%2e%2e", "..\\..", "~", "$HOME", "\0", "{stem}/..", "con", ".", "")
    with broken_daemon(trial.folder / "home2") as daemon:
        place = trial.folder / "place"
        place.mkdir()
        recording = Path(shutil.copy(MEMO, place / "memo.flac"))
        outside = set(trial.folder.iterdir())
        for _ in range(trial.number(TRAVERSALS)):
            name = "/".join(luck.choice(parts) for _ in range(luck.randint(1, 4))) + luck.choice(("", "x", "{stem}"))
            tally.trials += 1
            answer = daemon.post("/v1/jobs", {"path": str(recording), "options": {"name": name}})
            if answer.is_success:
                daemon.finished(int(answer.json()["id"]))
            tally.expect(answer.status_code < 500, f"{name!r}: {answer.text[:200]}")
            tally.expect(set(trial.folder.iterdir()) == outside, f"{name!r} wrote outside of its folder")
        _swaps(trial, daemon.socket, place, tally)


def _swaps(trial: Trial, path: Path, place: Path, tally: Tally) -> None:
    """While it is handed over, a recording becomes a link to what is nobody's business."""
    secret, victim, over = trial.folder / "secret.wav", place / "victim.wav", threading.Event()
    secret.write_bytes(MEMO.read_bytes())

    def swap() -> None:
        link, file = place / ".link", place / ".file"
        while not over.is_set():
            link.symlink_to(secret)
            link.replace(victim)
            file.write_bytes(b"RIFF")
            file.replace(victim)

    swapping = threading.Thread(target=swap, daemon=True)
    swapping.start()
    try:
        for _ in range(trial.number(SWAPS)):
            tally.trials += 1
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                body = b'{"path": "%s"}' % str(victim).encode()
                client.sendall(
                    b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%s" % (len(body), body)
                )
                while client.recv(65_536):
                    pass
    finally:
        over.set()
        swapping.join()
    tally.expect(not (trial.folder / "secret.json").exists(), "a link was followed")


def _pickles(tally: Tally) -> None:
    """What a worker says is never unpickled."""
    ours, theirs = Pipe()
    touched = Path("/tmp/steno-chaos-pickle")

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {touched}",)

    for content in (pickle.dumps(Evil()), b"\x80\x05" + os.urandom(50), struct.pack("!i", -1)):
        tally.trials += 1
        theirs.send_bytes(content)
        try:
            receive(ours, FROM_WORKER)
            tally.wrong.append(f"{content[:20]!r} was taken for a message")
        except (BadFrame, PipeClosed):
            pass
    tally.expect(not touched.exists(), "a pickle was run")
