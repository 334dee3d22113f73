"""Finds model snapshots in the shared Hugging Face cache and checks each file's hash.

Runs in: worker.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from config.places import hub_cache
from workers.models.starter import sha256_of

HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def cached_snapshot(hub_id: str) -> Path | None:
    """The newest snapshot on this machine, possibly incomplete; never uses the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, cache_dir=hub_cache(), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def bytes_in(folder: Path) -> int:
    """Bytes of all files in the folder, complete or not; files deleted meanwhile count as 0."""
    return sum(map(size_of, folder.glob("*")))


def size_of(file: Path) -> int:
    """In bytes; 0: the file does not exist."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def damaged_file(folder: Path, step: Callable[[], None]) -> Path | None:
    """The first file of a snapshot whose content does not match the hash in its name; reads every byte."""
    return next((file for file in sorted(folder.iterdir()) if not matches_its_name(file.resolve(), step)), None)


def matches_its_name(blob: Path, step: Callable[[], None]) -> bool:
    """True: the blob's content matches the hash in its name, or its name is not a hash."""
    return has_hash(blob, blob.name, step)


def has_hash(file: Path, expected: str, step: Callable[[], None]) -> bool:
    """`expected`: the hub's sha256 for large files, git's sha1 for small ones."""
    match len(expected) if HASH.fullmatch(expected) else 0:
        case 64:
            return sha256_of(file, step) == expected
        case 40:
            # Some mirrors name small files by the plain sha1 of the content, without git's header.
            content = file.read_bytes()
            header = f"blob {len(content)}\0".encode()
            return expected in (hashlib.sha1(header + content).hexdigest(), hashlib.sha1(content).hexdigest())
        case _:
            return True


def cache_folder(hub_id: str) -> Path:
    """The repository's folder in the shared cache; it may not exist."""
    return hub_cache() / f"models--{hub_id.replace('/', '--')}"
