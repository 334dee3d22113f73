"""torchaudio's alignment models: their path in torch's cache, the check of their content, and their download.

Runs in: worker. Does not import torch: only its cache folder and the file names are needed.
"""

import fcntl
import hashlib
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from config.model_names import BUNDLE_FILES
from config.places import torch_checkpoints
from ipc.durable_file import sync_path
from workers.engine import EngineRefusal
from workers.models.download import (
    CHECK_SECONDS,
    OnProgress,
    check_free_space,
    configure_library,
    refusal,
    with_retries,
)
from workers.models.hub_cache import size_of
from workers.models.starter import PIECE_BYTES

BUNDLE_ADDRESS = "https://download.pytorch.org/torchaudio/models/"
UNCOMPRESSED = {"accept-encoding": "identity"}
"""A compressed response has another length than the file."""


def bundle_file(name: str) -> Path:
    """The path of a bundle in BUNDLE_FILES; it may not exist."""
    return torch_checkpoints() / BUNDLE_FILES[name]


def fetch_bundle(name: str, on_progress: OnProgress, floor_bytes: int = 0, address: str = BUNDLE_ADDRESS) -> int:
    """Downloads the bundle, checks it and renames it into torch's cache. Returns the bytes downloaded.

    A file that arrives damaged is downloaded once more. Raises EngineRefusal `server_unreachable`, `offline`,
    `disk_full`, `model_damaged` or `cache_not_writable`.
    """
    target = bundle_file(name)
    try:
        configure_library()
        target.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive_lock(target, on_progress):
            return _fetch(address + target.name, target, on_progress, floor_bytes)
    except (OSError, ValueError) as error:
        by_hand = f"or copy the file to {target} yourself"
        raise refusal("server_unreachable", address + target.name, name, by_hand, "TORCH_HOME", error) from error


def _fetch(address: str, target: Path, on_progress: OnProgress, floor_bytes: int) -> int:
    """Uses huggingface_hub's download: torch.hub's starts over after an interruption and has no deadline."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import get_session

    def damage_in(file: Path) -> str | None:
        total, pieces = size_of(file), count(1)
        step = lambda: on_progress("checking", target.name, min(next(pieces) * PIECE_BYTES, total), total)  # noqa: E731
        return damage_in_bundle(file, step, deep=True)

    def download() -> None:
        # The library resumes after the existing bytes, and truncates them if the server starts from the first byte.
        with part.open("ab") as file:
            http_get(address, file, resume_size=size_of(part), headers=dict(UNCOMPRESSED), expected_size=size)

    if target.is_file() and damage_in(target) is None:
        return 0  # another process was quicker
    answer = get_session().head(address, headers=UNCOMPRESSED, allow_redirects=True)
    answer.raise_for_status()
    size = int(answer.headers["content-length"]) if "content-length" in answer.headers else None
    content = answer.headers.get("etag") or answer.headers.get("last-modified") or f"{address} {size}"
    version = hashlib.sha1(content.encode()).hexdigest()[:12]
    part = target.with_name(f".{target.name}.{version}.part")
    if size_of(part) > (size or 0):
        part.unlink()
    torn = None
    for _ in range(2):
        before = size_of(part)
        check_free_space(target.parent, (size or 0) - before, floor_bytes)
        with_retries(
            download,
            lambda: size_of(part),
            lambda: on_progress("fetching", target.name, size_of(part), size),
        )
        came = size_of(part) - before
        if (torn := damage_in(part)) is None:
            sync_path(part)
            part.replace(target)
            return came
        part.unlink()
    raise EngineRefusal(
        "model_damaged",
        f"{target.name} arrived damaged, twice: {torn}",
        "something between here and the server changes files; try another network",
    )


@contextmanager
def _exclusive_lock(target: Path, on_progress: OnProgress) -> Iterator[None]:
    """Waits until no other process downloads this file. The wait ends with that process, whose waits have
    deadlines."""
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                parts = target.parent.glob(f".{target.name}.*.part")
                on_progress("fetching", target.name, sum(map(size_of, parts)), None)
                time.sleep(CHECK_SECONDS)
        yield


def damage_in_bundle(file: Path, step: Callable[[], None], *, deep: bool) -> str | None:
    """Why the file is incomplete; None: no damage found. `deep`: check every member's CRC-32.

    No hash of these files is published, but each is a zip, which contains the CRC-32 of every member.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist() if deep else ():
                with archive.open(member) as content:
                    while content.read(PIECE_BYTES):
                        step()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return str(error) or "its end is missing"
    except OSError as error:
        return error.strerror or "it cannot be read"
    return None
