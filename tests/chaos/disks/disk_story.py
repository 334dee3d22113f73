"""What a process wrote, synced, renamed and removed, in order, and what a power cut may leave of it. Pure.

Runs in: the chaos run.

The model is that of ALICE (https://research.cs.wisc.edu/adsl/Publications/alice-osdi14.pdf) for a journalling file
system: data that was not synced may be there, missing or torn at any sector; names change in order,
and the last changes may be missing until their folder, or for a new file the file itself, was synced.
"""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath

SECTOR_BYTES = 512

CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<told>.*)\) += (?P<result>-?\d+)")
OF_FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")
SYNC = re.compile(r" *f(data)?sync\(")
NAMES = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<name>(?:\\x[0-9a-f]{2})*)"')
"""A name, with the open folder that it is within."""
STRINGS = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One that succeeded: `write`, `cut`, `sync`, `create`, `rename`, `unlink`, or `say`: what a client was sent.

    `begin` is where a sync began that other threads' calls came into: what they wrote meanwhile it need not cover.
    """

    kind: str
    path: str = ""
    other: str = ""
    offset: int = 0
    data: bytes = b""
    thread: str = ""


@dataclass(slots=True)
class Unsynced:
    """A file's content on the disk, and what was done to it since it was last synced."""

    content: bytearray = field(default_factory=bytearray)
    since: dict[int, Call] = field(default_factory=dict)
    """By the moment on the disk's clock."""


@dataclass(slots=True)
class Disk:
    """Names and contents as the power would find them."""

    files: dict[str, Unsynced] = field(default_factory=dict)
    """By the name they have for the running system."""
    names: dict[str, str] = field(default_factory=dict)
    """Name on the disk → the file's name for the running system, or where it was when last synced."""
    renames: dict[int, Call] = field(default_factory=dict)
    """Changes of names that are not on the disk yet, in order, by the moment on the disk's clock."""
    clock: int = 0
    """Calls until now."""
    syncing: dict[str, int] = field(default_factory=dict)
    """Thread → when the sync began that it waits for."""


def read_calls(lines: Iterable[str]) -> Iterator[Call]:
    """strace's lines (`-f -y -xx -s` large) → what they did. A sequential write goes where the last one ended."""
    ends: dict[str, int] = {}
    unfinished: dict[str, str] = {}
    for line in lines:
        whole = _joined(line, unfinished)
        thread = line.partition(" ")[0]
        if whole is None and SYNC.match(unfinished.get(thread, "")):
            yield Call("begin", thread=thread)
        found = CALL.match(whole) if whole else None
        if found is None or int(found["result"]) < 0:
            continue
        for call in _call(found["name"], found["told"], int(found["result"]), ends):
            yield replace(call, thread=thread)


def _joined(line: str, unfinished: dict[str, str]) -> str | None:
    """Two lines of a call that another thread's came between are one."""
    pid, _, rest = line.rstrip("\n").partition(" ")
    if rest.endswith("<unfinished ...>"):
        unfinished[pid] = rest.removesuffix("<unfinished ...>").rstrip()
        return None
    if (resumed := re.match(r" *<\.\.\. \w+ resumed>(.*)", rest)) and pid in unfinished:
        return f"{pid} {unfinished.pop(pid)}{resumed[1]}"
    return f"{pid} {rest}"


def _call(name: str, told: str, result: int, ends: dict[str, int]) -> Iterator[Call]:
    file = OF_FILE.match(told)
    path = _plain(file["path"]) if file else ""
    data = [_bytes(text) for text in STRINGS.findall(told)]
    match name:
        case "write" if path.startswith("/"):
            at = ends.get(path, 0)
            ends[path] = at + result
            yield Call("write", path, offset=at, data=data[0][:result])
        case "pwrite64" if path.startswith("/"):
            yield Call("write", path, offset=int(told.rsplit(",", 1)[1]), data=data[0][:result])
        case "ftruncate":
            yield Call("cut", path, offset=int(told.rsplit(",", 1)[1]))
        case "fsync" | "fdatasync":
            yield Call("sync", path)
        case "openat" if "O_CREAT" in told:
            (made,) = _names(told)
            if "O_TRUNC" in told or "O_EXCL" in told:
                ends[made] = 0
            yield Call("create", made)
        case "rename" | "renameat" | "renameat2":
            yield Call("rename", *_names(told))
        case "unlink" | "unlinkat":
            yield Call("unlink", *_names(told))
        case "sendto" | "sendmsg":
            yield Call("say", path, data=b"".join(data))
        case _:
            return


def _names(told: str) -> list[str]:
    """In full, of one call's arguments: each may be told from a folder on."""
    return [str(PurePath(_plain(found["folder"] or ""), _plain(found["name"]))) for found in NAMES.finditer(told)]


def _bytes(text: str) -> bytes:
    """What `-xx` wrote in hexadecimal digits: everything, names of descriptors' files too."""
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(name: str) -> str:
    return _bytes(name).decode(errors="surrogateescape") if name.startswith("\\x") else name


def apply(disk: Disk, call: Call) -> None:
    """One call further."""
    disk.clock += 1
    match call.kind:
        case "write" | "cut":
            disk.files.setdefault(call.path, Unsynced()).since[disk.clock] = call
        case "create":
            if call.path not in disk.files:
                disk.files[call.path] = Unsynced()
                disk.renames[disk.clock] = call
        case "rename":
            if call.path in disk.files:
                disk.files[call.other] = disk.files.pop(call.path)
            disk.renames[disk.clock] = call
        case "unlink":
            disk.files.pop(call.path, None)
            disk.renames[disk.clock] = call
        case "begin":
            disk.syncing[call.thread] = disk.clock
        case "sync":
            _sync(disk, call.path, disk.syncing.pop(call.thread, disk.clock))
        case _:
            return


def _sync(disk: Disk, path: str, since: int) -> None:
    """What was done before it began."""
    if path in disk.files:
        file = disk.files[path]
        covered = [at for at in file.since if at <= since]
        file.content = bytearray(_with(file.content, [file.since.pop(at) for at in covered]))
        # A file that is synced is there under the name it was made with.
        made = [at for at, call in disk.renames.items() if call.kind == "create" and call.path == path]
        for at in made:
            del disk.renames[at]
            disk.names[path] = path
        return
    here = [
        at
        for at, call in disk.renames.items()
        if at <= since and str(PurePath(call.other or call.path).parent) == path
    ]
    for at in here:
        _rename(disk.names, disk.renames.pop(at))


def after_the_cut(disk: Disk, luck: random.Random) -> dict[str, bytes]:
    """Path → content, one of the states that the power may leave."""
    names = dict(disk.names)
    for call in list(disk.renames.values())[: luck.randint(0, len(disk.renames))]:
        _rename(names, call)
    whole = luck.random() < 0.3
    contents = {}
    for path in names:
        file = disk.files.get(names[path])
        if file is None:
            continue
        kept = [call if whole else _torn(call, luck) for call in file.since.values() if whole or luck.random() < 0.5]
        contents[path] = _with(file.content, kept)
    return contents


def _rename(names: dict[str, str], call: Call) -> None:
    match call.kind:
        case "create":
            names[call.path] = call.path
        case "rename":
            names.pop(call.path, None)
            names[call.other] = call.other
        case _:
            names.pop(call.path, None)


def _torn(call: Call, luck: random.Random) -> Call:
    """Whole sectors of it; most often all of them."""
    sectors = len(call.data) // SECTOR_BYTES
    if call.kind != "write" or sectors < 2 or luck.random() < 0.7:
        return call
    return Call("write", call.path, offset=call.offset, data=call.data[: luck.randint(1, sectors - 1) * SECTOR_BYTES])


def _with(content: bytearray | bytes, calls: Iterable[Call]) -> bytes:
    made = bytearray(content)
    for call in calls:
        if call.kind == "cut":
            del made[call.offset :]
            made.extend(bytes(call.offset - len(made)))
            continue
        made.extend(bytes(max(0, call.offset - len(made))))
        made[call.offset : call.offset + len(call.data)] = call.data
    return bytes(made)
