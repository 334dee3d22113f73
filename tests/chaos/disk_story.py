"""What a process wrote, synced, renamed and removed, in order, and what a power cut may leave of it. Pure.

Runs in: the chaos run.

The model is that of ALICE (https://research.cs.wisc.edu/adsl/Publications/alice-osdi14.pdf) for a journalling file
system: data that was not synced may be there, missing or torn at any sector; names change in order,
and the last changes may be missing until their folder, or for a new file the file itself, was synced.
"""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

SECTOR_BYTES = 512

CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<told>.*)\) += (?P<result>-?\d+)")
OF_FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")
STRINGS = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One that succeeded: `write`, `cut`, `sync`, `create`, `rename`, `unlink`, or `say`: what a client was sent."""

    kind: str
    path: str = ""
    other: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Unsynced:
    """A file's content on the disk, and what was done to it since it was last synced."""

    content: bytearray = field(default_factory=bytearray)
    since: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class Disk:
    """Names and contents as the power would find them."""

    files: dict[str, Unsynced] = field(default_factory=dict)
    """By the name they have for the running system."""
    names: dict[str, str] = field(default_factory=dict)
    """Name on the disk → the file's name for the running system, or where it was when last synced."""
    renames: list[Call] = field(default_factory=list)
    """Changes of names that are not on the disk yet, in order."""


def read_calls(lines: Iterable[str]) -> Iterator[Call]:
    """strace's lines (`-f -y -xx -s` large) → what they did. A sequential write goes where the last one ended."""
    ends: dict[str, int] = {}
    unfinished: dict[str, str] = {}
    for line in lines:
        whole = _joined(line, unfinished)
        found = CALL.match(whole) if whole else None
        if found is None or int(found["result"]) < 0:
            continue
        yield from _call(found["name"], found["told"], int(found["result"]), ends)


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
    path = file["path"] if file else ""
    data = [bytes.fromhex(text.replace("\\x", "")) for text in STRINGS.findall(told)]
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
            made = data[0].decode()
            if "O_TRUNC" in told or "O_EXCL" in told:
                ends[made] = 0
            yield Call("create", made)
        case "rename" | "renameat" | "renameat2":
            yield Call("rename", data[0].decode(), data[1].decode())
        case "unlink" | "unlinkat":
            yield Call("unlink", data[0].decode())
        case "sendto" | "sendmsg":
            yield Call("say", data=b"".join(data))
        case _:
            return


def apply(disk: Disk, call: Call) -> None:
    """One call further."""
    match call.kind:
        case "write" | "cut":
            disk.files.setdefault(call.path, Unsynced()).since.append(call)
        case "create":
            if call.path not in disk.files:
                disk.files[call.path] = Unsynced()
                disk.renames.append(call)
        case "rename":
            if call.path in disk.files:
                disk.files[call.other] = disk.files.pop(call.path)
            disk.renames.append(call)
        case "unlink":
            disk.files.pop(call.path, None)
            disk.renames.append(call)
        case "sync":
            _sync(disk, call.path)
        case _:
            return


def _sync(disk: Disk, path: str) -> None:
    if path in disk.files:
        file = disk.files[path]
        file.content = bytearray(_with(file.content, file.since))
        file.since.clear()
        # A file that is synced is there under the name it was made with.
        made = [call for call in disk.renames if call.kind == "create" and call.path == path]
        for call in made:
            disk.renames.remove(call)
            disk.names[path] = path
        return
    here = [call for call in disk.renames if str(PurePath(call.other or call.path).parent) == path]
    for call in here:
        disk.renames.remove(call)
        _rename(disk.names, call)


def after_the_cut(disk: Disk, luck: random.Random) -> dict[str, bytes]:
    """Path → content, one of the states that the power may leave."""
    names = dict(disk.names)
    for call in disk.renames[: luck.randint(0, len(disk.renames))]:
        _rename(names, call)
    whole = luck.random() < 0.3
    contents = {}
    for path in names:
        file = disk.files.get(names[path])
        if file is None:
            continue
        kept = [call if whole else _torn(call, luck) for call in file.since if whole or luck.random() < 0.5]
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
