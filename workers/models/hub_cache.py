"""Model snapshots in the shared Hugging Face cache, and the one place that fetches them.

Runs in: worker.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from workers.models.starter import sha256_of

ANSWER_SECONDS = 10.0
"""How long the hub may take to say what a model consists of."""
LOOK_SECONDS = 1.0
"""How often a download in progress is looked at."""
PIECE_BYTES = 1024 * 1024
"""Written at once; an interruption costs no more."""
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class HubUnreachable(Exception):
    """The hub has no such model, or cannot be asked."""


def cached_snapshot(hub_id: str, wanted: Sequence[str]) -> Path | None:
    """The newest snapshot on this machine, perhaps without some files; never asks the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(wanted), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def download_snapshot(hub_id: str, wanted: Sequence[str], downloading: Callable[[], None]) -> Path:
    """Fetch the wanted files and check them; `downloading` is called for as long as bytes arrive.

    Raises HubUnreachable.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from requests.exceptions import RequestException

    plain_downloads()
    blobs = cache_folder(hub_id) / "blobs"
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub") as pool:
        fetching = pool.submit(
            snapshot_download, hub_id, allow_patterns=list(wanted), etag_timeout=ANSWER_SECONDS, max_workers=2
        )
        here = -1
        # The hub's library reports files, not bytes, and a file may be gigabytes: the growing blobs tell.
        while not wait([fetching], timeout=LOOK_SECONDS).done:
            if (now := bytes_in(blobs)) != here:
                here = now
                downloading()
    try:
        folder = Path(fetching.result())
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RequestException, OSError) as error:
        raise HubUnreachable(f"{type(error).__name__} from the hub about {hub_id}") from error
    check_blobs(folder, downloading)
    return folder


def bytes_in(folder: Path) -> int:
    """Bytes of all files in the folder, whole or not; files that vanish meanwhile do not count."""
    total = 0
    for file in folder.glob("*"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total


def check_blobs(folder: Path, step: Callable[[], None]) -> None:
    """Removes a file that is not what its name in the cache says, and raises HubUnreachable."""
    if damaged := damaged_file(folder, step):
        damaged.resolve().unlink()
        raise HubUnreachable(f"{damaged.name} arrived damaged")


def damaged_file(folder: Path, step: Callable[[], None]) -> Path | None:
    """The first file of a snapshot whose content does not fit the hash it is filed under; reads all of it."""
    return next((file for file in sorted(folder.iterdir()) if not is_as_filed(file.resolve(), step)), None)


def is_as_filed(blob: Path, step: Callable[[], None]) -> bool:
    """Whether a blob's content has the hash that is its name; what is not named by a hash is believed."""
    return has_hash(blob, blob.name, step)


def has_hash(file: Path, expected: str, step: Callable[[], None]) -> bool:
    """`expected` as the hub gives it: sha256 for large files, git's own sha1 for small ones."""
    match len(expected) if HASH.fullmatch(expected) else 0:
        case 64:
            return sha256_of(file, step) == expected
        case 40:
            # Some mirrors file small things under the plain sha1 of the content, without git's header.
            content = file.read_bytes()
            header = f"blob {len(content)}\0".encode()
            return expected in (hashlib.sha1(header + content).hexdigest(), hashlib.sha1(content).hexdigest())
        case _:
            return True


def cache_folder(hub_id: str) -> Path:
    """Where the shared cache keeps this repository, there or not."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"


def plain_downloads() -> None:
    """Plain HTTP, written down in small pieces: it goes on where it stopped, and grows on the disk as it comes.

    Hugging Face's other protocol, xet, begins again after an interruption and shows its bytes late.
    """
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_XET = True
    constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES
