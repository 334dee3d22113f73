"""One file from a plain web server, going on where it once stopped.

Runs in: worker (the program behind `steno models`).
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from workers.engine import EngineRefusal
from workers.models.transfer import Progressed, RetryBudget, room_for

ANSWER_SECONDS = 10.0
"""From a request to the first byte of its answer, and between two pieces of it."""
PIECE_BYTES = 256 * 1024
AS_IT_IS = {"accept-encoding": "identity"}
"""A compressed answer has other lengths than the file."""

WhatIsWrong = Callable[[Path], str | None]


@dataclass(frozen=True, slots=True)
class ServerOffer:
    """What the server has."""

    address: str
    size_bytes: int | None
    version: str
    """Changes with the content: its ETag, or the best there is."""

    def part_of(self, target: Path) -> Path:
        """Where the beginning of this very version is kept: beside the target, hidden."""
        version = hashlib.sha1(self.version.encode()).hexdigest()[:12]
        return target.with_name(f".{target.name}.{version}.part")


def fetch_file(
    address: str,
    target: Path,
    floor_bytes: int,
    progressed: Progressed,
    what_is_wrong: WhatIsWrong,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Puts the file at `target` once all of it is here and nothing is wrong with it; how many bytes came for it.

    One that came damaged is fetched once more. Raises EngineRefusal `server_unreachable`, `disk_full`,
    `model_damaged` or `cache_not_writable`.
    """
    by_hand = f"once there is network, the same command goes on; or put the file at {target} by hand"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with httpx.Client(timeout=ANSWER_SECONDS, follow_redirects=True, headers=AS_IT_IS) as web:
            offer = _ask(web, address)
            return _fetch_whole(web, offer, target, floor_bytes, progressed, what_is_wrong, sleep)
    except httpx.HTTPStatusError as error:
        answered = f"{address} answers with HTTP {error.response.status_code}"
        raise EngineRefusal("server_unreachable", answered, by_hand) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise EngineRefusal("server_unreachable", f"{address} cannot be fetched: {why}", by_hand) from error
    except OSError as error:
        what = f"{error.filename or target} cannot be written: {error.strerror}"
        raise EngineRefusal("cache_not_writable", what, "make room, or make the folder writable") from error


def _ask(web: httpx.Client, address: str) -> ServerOffer:
    about = web.head(address).raise_for_status().headers
    size = about.get("content-length")
    version = about.get("etag") or about.get("last-modified") or f"{address} {size}"
    return ServerOffer(address, None if size is None else int(size), version)


def _fetch_whole(
    web: httpx.Client,
    offer: ServerOffer,
    target: Path,
    floor_bytes: int,
    progressed: Progressed,
    what_is_wrong: WhatIsWrong,
    sleep: Callable[[float], None],
) -> int:
    part = offer.part_of(target)
    wrong = None
    for _ in range(2):
        before = _size(part)
        room_for(target.parent, (offer.size_bytes or 0) - before, floor_bytes)
        _fetch(web, offer, part, progressed, sleep)
        came = _size(part) - before
        if (wrong := what_is_wrong(part)) is None:
            _sync(part)
            part.replace(target)
            return came
        part.unlink()
    raise EngineRefusal(
        "model_damaged",
        f"{target.name} arrived damaged, twice: {wrong}",
        "something between here and the server changes files; try another network",
    )


def _fetch(
    web: httpx.Client, offer: ServerOffer, part: Path, progressed: Progressed, sleep: Callable[[float], None]
) -> None:
    """Brings the part to its full size, through connections that break."""
    budget = RetryBudget(sleep)
    while True:
        before = _size(part)
        try:
            _read_on(web, offer, part, progressed)
            broken = None
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as error:
            broken = error
        is_here = broken is None and offer.size_bytes in (None, _size(part))
        if is_here or not budget.may_try_again(_size(part) - before):
            break
    if broken is not None:
        raise broken


def _read_on(web: httpx.Client, offer: ServerOffer, part: Path, progressed: Progressed) -> None:
    """One answer of the server, appended; from the first byte if the server does not go on in the middle."""
    name = offer.address.rpartition("/")[2]
    here = _size(part)
    if here == offer.size_bytes:
        return
    if offer.size_bytes is None or here > offer.size_bytes:
        here = 0
    with web.stream("GET", offer.address, headers={"range": f"bytes={here}-"} if here else {}) as answer:
        answer.raise_for_status()
        goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        done = here if goes_on else 0
        with part.open("ab" if goes_on else "wb", buffering=0) as file:
            for piece in answer.iter_bytes(PIECE_BYTES):
                file.write(piece)
                done += len(piece)
                progressed(name, done, offer.size_bytes)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _sync(file: Path) -> None:
    with file.open("rb") as content:
        os.fsync(content.fileno())
