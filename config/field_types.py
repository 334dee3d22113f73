"""What settings are made of: a section that refuses unknown names, and values that are checked as they are read.

Runs in: every process.
"""

import ipaddress
import re
import shlex
import string
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _absolute(folder: Path) -> Path:
    folder = _expanded(folder)
    if not folder.is_absolute():
        raise ValueError("a folder starts with / or ~: a daemon has no folder of its own to start from")
    return folder


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError as unknown_user:
        raise ValueError(f"{folder}: {unknown_user}") from unknown_user


Folder = Annotated[Path, AfterValidator(_absolute)]
"""Absolute once checked; `~` is the home of who runs the daemon."""


def _one_or_more(written: object) -> object:
    return (written,) if isinstance(written, str) else written


Folders = Annotated[tuple[Folder, ...], BeforeValidator(_one_or_more)]
"""A list of folders, or a single one."""
InnerFolder = Annotated[Path, AfterValidator(_expanded)]
"""Absolute, or relative to the watched folder it belongs to."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""ISO 639-1 code."""

SECONDS_PER_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smh])+")
FOR_EVER = -1.0


def _seconds(written: object) -> object:
    """Ollama's spelling: `"10m"`, `"1h30m"`, a number of seconds, anything negative for ever."""
    if isinstance(written, str):
        text = written.strip().lower()
        if text.startswith("-"):
            return FOR_EVER
        if DURATION.fullmatch(text):
            return sum(float(count) * SECONDS_PER_UNIT[unit] for count, unit in re.findall(r"([\d.]+)([smh])", text))
        try:
            return _seconds(float(text))
        except ValueError:
            raise ValueError('write "10m", "1h30m", seconds, 0 for immediately or -1 for never') from None
    if isinstance(written, (int, float)) and written < 0:
        return FOR_EVER
    return written


KeepAlive = Annotated[float, BeforeValidator(_seconds)]
"""Seconds without work until a worker's process ends; 0: immediately; FOR_EVER: never
(https://docs.ollama.com/faq, keep_alive)."""


def _argv(written: object) -> object:
    """A command as people write it becomes words as a process gets them. No shell reads it."""
    if isinstance(written, str):
        try:
            written = tuple(shlex.split(written))
        except ValueError as unclosed:
            raise ValueError(f"{unclosed}: write the command as a list of words") from unclosed
    # An empty word is how the environment, where empty means unset, says none.
    return () if written in ([""], ("",)) else written


Command = Annotated[tuple[str, ...], BeforeValidator(_argv)]
"""A program and its arguments; empty: none."""


def _relative(pattern: str) -> str:
    if pattern.startswith("~/"):
        raise ValueError("patterns are relative to the watched folder: write it without ~/")
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_relative)]
"""What names look like: `*.m4a`, `meetings/*`."""

NAME_FIELDS = ("stem", "name", "folder", "language", "date", "time")
"""What a name template may hold: the recording's name without and with its extension, its folder's name, the
language heard, and the day (2026-11-22) and time (21.36.05) it was last changed."""


def name_template(written: str) -> str:
    """The template, if it is one. Raises ValueError that says what may be in it."""
    try:
        fields = [field for _, field, form, conversion in string.Formatter().parse(written) if field is not None]
        plain = all(not form and not conversion for _, _, form, conversion in string.Formatter().parse(written))
    except ValueError as torn:
        raise ValueError(f"{torn}: write it like {{stem}}.{{language}}") from torn
    if not plain or not set(fields) <= set(NAME_FIELDS):
        raise ValueError(f"allowed in braces are {', '.join(NAME_FIELDS)}")
    if not {"stem", "name"} & set(fields):
        raise ValueError("{stem} or {name} must be in it, or all recordings would have one name")
    if "/" in written or "\0" in written:
        raise ValueError("a name holds no /: folders are set elsewhere")
    return written


NameTemplate = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(name_template)]
"""The name of a recording's files without their extension, `{stem}` if nothing else is wanted."""


def _listen_address(written: str) -> str:
    """`HOST:PORT` with an IP address or `localhost`, an IPv6 address in brackets. Raises ValueError."""
    listen_address(written)
    return written


def listen_address(written: str) -> tuple[str, int]:
    """The address without brackets, and the port. Raises ValueError."""
    host, separator, port = written.rpartition(":")
    if not separator or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("write an address and a port, as 127.0.0.1:9000")
    if host == "localhost":
        return "127.0.0.1", int(port)
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError("the host must be an IP address, as 127.0.0.1, [::1] or 0.0.0.0") from None
    if (address.version == 6) != (host != bare):
        raise ValueError("write an IPv6 address in brackets, as [::1]:9000")
    return bare, int(port)


def is_loopback(written: str) -> bool:
    """Whether a listener there is reached from this computer only. Raises ValueError."""
    return ipaddress.ip_address(listen_address(written)[0]).is_loopback


ListenAddress = Annotated[str, AfterValidator(_listen_address)]
"""`127.0.0.1:9000`, `[::1]:9000`, `0.0.0.0:9000`."""


def _wyoming_address(written: str) -> str:
    scheme, separator, rest = written.partition("://")
    if not separator or scheme != "tcp":
        raise ValueError("write it as tcp://127.0.0.1:10300")
    listen_address(rest)
    return written


WyomingAddress = Annotated[str, AfterValidator(_wyoming_address)]
"""`tcp://127.0.0.1:10300`."""
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
"""Without a port."""
WebOrigin = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
"""Scheme, host and port as a browser sends them; never `*`."""
