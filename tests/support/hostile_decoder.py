"""A decoder that its recording has taken over: it is the real one until its sandbox is active, and then attacks.

Runs in: the decoder. `python -P hostile_decoder.py ATTACKS [--forks] LINE PARENT`; `program_with` gives the words.

Every attack is an act that must fail. One that raises is `held`, one that returns has `escaped`; an attack that a
limit must end never returns.
"""

import ctypes
import errno
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VICTIM = "victim.txt"
"""A file beside the recording that must not change."""
SECRET = "config.toml"
SEVERAL = "+"
"""Between the names of attacks that one decoder tries one after the other."""
WITHOUT = "without-"
"""Before the name of a wall that this kernel is not to have."""
LAST_CALL = 470
"""Linux 6.18 has none beyond."""
NEVER_FILTERED = {"x86_64": (335, 336)}
"""The kernel's own ways back from a probe, which no filter sees; SIGILL for all others who call them."""


def program_with(*attacks: str) -> tuple[str, ...]:
    """What to start instead of the decoder."""
    return (sys.executable, "-P", "-s", __file__, SEVERAL.join(attacks))


def call(number: int, *arguments: Any) -> int:
    """A system call, made without the C library's help. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.syscall(ctypes.c_long(number), *arguments)
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(answer)


def by_number(x86: int, arm: int, *arguments: Any) -> Callable[[Path], object]:
    number = x86 if os.uname().machine == "x86_64" else arm
    return lambda folder: call(number, *arguments)


def open_to_write(folder: Path) -> None:
    os.close(os.open(folder / VICTIM, os.O_WRONLY | os.O_TRUNC))


def make_a_file(folder: Path) -> None:
    os.close(os.open(folder / "new.txt", os.O_WRONLY | os.O_CREAT, 0o600))


def read(path: Path) -> None:
    with path.open("rb") as file:
        file.read(1)


def connect_to(address: tuple[str, int] | str) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.connect(address)


def send_a_datagram(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"secret", ("127.0.0.1", 53))


def fork_a_child(folder: Path) -> None:
    if os.fork() == 0:
        os._exit(0)


def map_code(folder: Path) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def make_data_code(folder: Path) -> None:
    data = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 5):
        raise OSError(ctypes.get_errno(), "mprotect")


def raise_its_limits(folder: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def signal_from_a_descriptor(folder: Path) -> None:
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())


def try_every_call(folder: Path) -> None:
    """None beyond those that decoding needs may come further than to the filter."""
    from workers.sandbox.seccomp import ARCHITECTURES, CALLS, CLONE3, CONDITIONAL

    column = ARCHITECTURES[os.uname().machine].column
    allowed = {numbers[column] for numbers in CALLS.values()} | {both[column] for both, _ in CONDITIONAL.values()}
    for number in range(LAST_CALL):
        if number in allowed or number in NEVER_FILTERED.get(os.uname().machine, ()):
            continue
        try:
            call(number, *[ctypes.c_long(-1)] * 6)
        except OSError as error:
            if error.errno != errno.EPERM and number not in CLONE3:
                raise AssertionError(f"call {number} reached the kernel: {error}") from error
        else:
            raise AssertionError(f"call {number} succeeded")
    raise PermissionError("every call was refused")


def take_memory(folder: Path) -> None:
    held = []
    while True:
        held.append(bytearray(64 * 1024 * 1024))


def write_without_end(folder: Path) -> None:
    block = bytes(1024 * 1024)
    pcm = int(os.environ["HOSTILE_PCM"])
    while True:
        os.write(pcm, block)


def compute_without_end(folder: Path) -> None:
    while True:
        pass


def stand_still(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def crash(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def leave(folder: Path) -> None:
    os._exit(0)


def say(words: bytes) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        os.write(int(os.environ["HOSTILE_LINE"]), words)
        time.sleep(60)

    return attack


def fill_stderr(folder: Path) -> None:
    for _ in range(100):
        os.write(2, bytes(65_536))
    raise PermissionError("nobody was held up by it")


HELD: dict[str, Callable[[Path], object]] = {
    "open_to_write": open_to_write,
    "make_a_file": make_a_file,
    "read_a_secret": lambda folder: read(folder / SECRET),
    "read_a_key": lambda folder: read(Path("/etc/passwd")),
    "read_the_environment_of_its_parent": lambda folder: read(Path(f"/proc/{os.getppid()}/environ")),
    "read_its_own_memory": lambda folder: read(Path("/proc/self/mem")),
    "open_a_device": lambda folder: read(Path("/dev/zero")),
    "list_a_folder": lambda folder: os.listdir(folder),  # noqa: PTH208
    "remove": lambda folder: (folder / VICTIM).unlink(),
    "rename": lambda folder: (folder / VICTIM).rename(folder / "moved.txt"),
    "link": lambda folder: (folder / "link.txt").hardlink_to(folder / VICTIM),
    "symlink": lambda folder: (folder / "link.txt").symlink_to(folder / VICTIM),
    "make_a_folder": lambda folder: (folder / "new").mkdir(),
    "make_a_fifo": lambda folder: os.mkfifo(folder / "fifo"),
    "change_its_mode": lambda folder: (folder / VICTIM).chmod(0o777),
    "change_its_owner": lambda folder: os.chown(folder / VICTIM, 1, 1),
    "change_its_times": lambda folder: os.utime(folder / VICTIM, (0, 0)),
    "cut_it_short": lambda folder: os.truncate(folder / VICTIM, 0),
    "mark_it": lambda folder: os.setxattr(folder / VICTIM, "user.mark", b"x"),
    "look_at_it": lambda folder: (folder / VICTIM).stat(),
    "go_elsewhere": lambda folder: os.chdir("/"),
    "another_root": lambda folder: os.chroot("/"),
    "connect": lambda folder: connect_to(("127.0.0.1", 80)),
    "connect_to_the_daemon": lambda folder: connect_to(str(folder / "stenod.sock")),
    "connect_to_a_nameless_socket": lambda folder: connect_to("\0stenod"),
    "listen": lambda folder: socket.create_server(("127.0.0.1", 0)).close(),
    "send_a_datagram": send_a_datagram,
    "a_pair_of_sockets": lambda folder: [one.close() for one in socket.socketpair()],
    "execute": lambda folder: os.execv("/bin/true", ["/bin/true"]),
    "start_a_program": lambda folder: subprocess.run(["/bin/true"], check=True),
    "fork": fork_a_child,
    "fork_by_hand": by_number(56, 220, 17, 0, 0, 0, 0),
    "fork_in_another_way": by_number(58, 435, 0, 0),
    "a_thread_in_another_network": by_number(56, 220, 0x10000 | 0x40000000, 0, 0, 0, 0),
    "kill_its_parent": lambda folder: os.kill(os.getppid(), signal.SIGTERM),
    "kill_all": lambda folder: os.kill(-1, signal.SIGTERM),
    "kill_its_group": lambda folder: os.kill(0, signal.SIGTERM),
    "map_code": map_code,
    "make_data_code": make_data_code,
    "raise_its_limits": raise_its_limits,
    "signal_from_a_descriptor": signal_from_a_descriptor,
    "be_nicer": lambda folder: os.nice(1),
    "trace_its_parent": lambda folder: by_number(101, 117, 16, os.getppid(), 0, 0)(folder),
    "read_its_parents_memory": lambda folder: by_number(310, 270, os.getppid(), 0, 0, 0, 0, 0)(folder),
    "hold_its_parent": lambda folder: by_number(434, 434, os.getppid(), 0)(folder),
    "a_ring": by_number(425, 425, 1, 0),
    "page_faults": by_number(323, 282, 0),
    "a_program_for_the_kernel": by_number(321, 280, 0, 0, 0),
    "keys": by_number(250, 219, 0, 0),
    "a_mount": by_number(165, 40, b"none", b"/", b"tmpfs", 0, 0),
    "another_namespace": by_number(272, 97, 0x10000000),
    "a_file_in_memory": by_number(319, 279, b"name", 0),
    "a_handle": by_number(304, 265, -100, 0, 0),
    "every_call": try_every_call,
    "fill_stderr": fill_stderr,
}
"""Each fails, and the decoder lives on to say so."""
ENDED: dict[str, tuple[Callable[[Path], object], str]] = {
    "take_memory": (take_memory, "memory"),
    "compute_without_end": (compute_without_end, "SIGXCPU"),
    "crash": (crash, "SIGSEGV"),
    "leave": (leave, "exit"),
    "talk_nonsense": (say(b"\x00\xff nonsense\n"), "nonsense"),
    "talk_without_end": (say(b'{"kind":"moved","done_seconds":1}' + b" " * 400_000), "nonsense"),
    "tear_a_line": (say(b'{"kind":"decoded",'), "timeout"),
}
"""Each is the end of this decoder, and this is what it is called."""
STOPPED = {"stand_still": stand_still, "write_without_end": write_without_end}


def outcome_of(which: str, folder: Path) -> str:
    """`held`, `reached` the object of the attack but did no harm, or `escaped`; and what the system said."""
    attack = HELD.get(which) or (ENDED[which][0] if which in ENDED else STOPPED[which])
    try:
        attack(folder)
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        got_there = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.EEXIST, errno.EFBIG)
        return f"{'reached' if got_there else 'held'} {which}: {type(error).__name__}: {error}"
    return f"escaped {which}"


def main() -> None:
    """The real decoder, with the attacks in decoding's place."""
    from workers.decoder import __main__ as decoder_main
    from workers.sandbox import sandbox

    words = sys.argv.pop(1).split(SEVERAL)
    for word in (word for word in words if word.startswith(WITHOUT)):
        setattr(sandbox, word.removeprefix(WITHOUT), lambda *told: no_such_wall())
    attacks = [word for word in words if not word.startswith(WITHOUT)]

    def attacking(name: Path, file: object, writer: Any, wish: object, step: object) -> None:
        from workers.engine import EngineRefusal

        os.environ["HOSTILE_PCM"] = str(writer._descriptor)
        outcomes = [outcome_of(which, name.parent) for which in attacks]
        bad = [outcome for outcome in outcomes if not outcome.startswith("held")]
        raise EngineRefusal((bad or outcomes)[0].split()[0], "; ".join(bad or outcomes), "")

    import config.lean_structlog  # noqa: F401
    from workers.decoder import decode_one as decoding_room

    ready, decode_once = decoding_room.get_ready, decoding_room.decode_once

    def decode_attacking(said: bytes, pcm: int, line: int) -> None:
        os.environ["HOSTILE_LINE"] = str(line)
        decode_once(said, pcm, line)

    decoding_room.decode_once = decode_attacking

    def get_ready() -> None:
        ready()
        # What the attacks need, loaded as a decoder's own libraries are.
        import fcntl  # noqa: F401
        import resource  # noqa: F401
        import threading  # noqa: F401

        decoding_room.decode_recording = attacking  # type: ignore[assignment]

    decoding_room.get_ready = get_ready
    decoder_main.main(sys.argv[1:])


def no_such_wall() -> None:
    raise OSError(0, "this kernel has none")


if __name__ == "__main__":
    main()
