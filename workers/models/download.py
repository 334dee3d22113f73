"""Downloads model files with huggingface_hub, and adds deadlines, progress, a check of free disk space and sha256.

Runs in: worker.

The library resumes an interrupted file, retries failed requests, and locks each file against other processes. It
lacks three things: a deadline for listing a repository, a retry of a connection that the server closes early, and, up
to version 1, progress other than a bar.
"""

import errno
import shutil
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from config.places import hub_cache
from workers.engine import EngineRefusal
from workers.models.hub_cache import cache_folder, has_hash, size_of
from workers.models.starter import PIECE_BYTES

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

CHECK_SECONDS = 0.2
"""How often the size of a file that the library writes is checked."""
TRIES_WITHOUT_A_BYTE = 4
"""Retries in a row that bring no byte before the download fails. The server closed each connection early."""
RETRY_PAUSE_SECONDS = 1.0
"""The pause before a retry."""
WRITE_BYTES = 256 * 1024
"""Size of one write; an interruption loses at most this much."""

DownloadPhase = Literal["fetching", "checking"]
OnProgress = Callable[[DownloadPhase, str, int, int | None], None]
"""Called with phase, file name, bytes done, and total bytes if known."""
Result = TypeVar("Result")


def describe(hub_id: str) -> "ModelInfo":
    """The hub's description of the repository. Raises EngineRefusal `no_such_model`, `gated_model`, `offline` or
    `hub_unreachable`."""
    from huggingface_hub import HfApi

    try:
        configure_library()
        return HfApi().model_info(hub_id, files_metadata=True)
    except (OSError, ValueError) as error:
        raise hub_refusal(hub_id, error) from error


def names_in(about: "ModelInfo") -> frozenset[str]:
    return frozenset(file.rfilename for file in about.siblings or ())


def fetch_snapshot(
    hub_id: str, about: "ModelInfo", wanted: Collection[str], on_progress: OnProgress, floor_bytes: int = 0
) -> tuple[Path, int]:
    """The snapshot's folder with the wanted files, each checked against the hub's hash, and the bytes downloaded.

    A file that arrives damaged, or is damaged in the cache, is downloaded once more from its first byte. Raises
    EngineRefusal as `describe` does, and `disk_full`, `cache_not_writable` or `model_damaged`.
    """
    from huggingface_hub import snapshot_download

    files = [file for file in about.siblings or () if file.rfilename in wanted]
    blobs = cache_folder(hub_id) / "blobs"
    reported = {file.rfilename: bytes_of(blobs, file) for file in files}

    def report_changes() -> None:
        for file in files:
            if (now := bytes_of(blobs, file)) != reported[file.rfilename]:
                reported[file.rfilename] = now
                on_progress("fetching", file.rfilename, now, file.size)

    def download() -> Path:
        for file in files:
            _delete_oversized_part(blobs, file)
        names = [file.rfilename for file in files]
        return Path(snapshot_download(hub_id, cache_dir=hub_cache(), allow_patterns=names, max_workers=1))

    def bytes_here() -> int:
        return sum(bytes_of(blobs, file) for file in files)

    check_free_space(blobs, sum(file.size or 0 for file in files) - bytes_here(), floor_bytes)
    came, damaged = 0, files
    for _ in range(2):
        before = bytes_here()
        try:
            folder = with_retries(download, bytes_here, report_changes)
            damaged = [file for file in files if not _is_whole(folder / file.rfilename, file, on_progress)]
        except (OSError, ValueError) as error:
            raise hub_refusal(hub_id, error) from error
        came += bytes_here() - before
        if not damaged:
            return folder, came
        for file in damaged:
            (folder / file.rfilename).resolve().unlink(missing_ok=True)
    raise EngineRefusal(
        "model_damaged",
        f"{damaged[0].rfilename} of {hub_id} arrived damaged, twice",
        "something between here and the hub changes files; try another network or another HF_ENDPOINT",
    )


def _is_whole(pointer: Path, file: "RepoSibling", on_progress: OnProgress) -> bool:
    blob = pointer.resolve(strict=True)
    total, pieces = blob.stat().st_size, count(1)
    return has_hash(
        blob,
        hash_of(file) or blob.name,
        lambda: on_progress("checking", file.rfilename, min(next(pieces) * PIECE_BYTES, total), total),
    )


def hash_of(file: "RepoSibling") -> str | None:
    """The file's name in the cache: sha256 for large files, git's hash for small ones."""
    found: str | None = file.lfs.sha256 if file.lfs else file.blob_id
    return found


def bytes_of(blobs: Path, file: "RepoSibling") -> int:
    """Bytes of the file on this machine, complete or not."""
    name = str(hash_of(file))
    # The name is checked twice, for a file that was renamed between the first two checks.
    return next(filter(None, (size_of(blobs / one) for one in (name, f"{name}.incomplete", name))), 0)


def _delete_oversized_part(blobs: Path, file: "RepoSibling") -> None:
    """Deletes an oversized partial file: the library would request bytes past the end and fail each time."""
    part = blobs / f"{hash_of(file)}.incomplete"
    if file.size is not None and size_of(part) > file.size:
        part.unlink()


# --- any download ---------------------------------------------------------------------------------------------------


def with_retries(
    download: Callable[[], Result], bytes_here: Callable[[], int], on_growth: Callable[[], None]
) -> Result:
    """The download's result; `on_growth` is called in the caller's thread whenever more bytes have arrived."""
    from requests.exceptions import ChunkedEncodingError

    in_vain, known = 0, bytes_here()
    while True:
        before = known
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="download") as pool:
            running, is_over = pool.submit(download), False
            while not is_over:
                is_over = bool(wait([running], CHECK_SECONDS).done)
                if (now := bytes_here()) != known:
                    known = now
                    on_growth()
        try:
            return running.result()
        except ChunkedEncodingError:
            in_vain = 0 if known > before else in_vain + 1
            if in_vain == TRIES_WITHOUT_A_BYTE:
                raise
            time.sleep(RETRY_PAUSE_SECONDS)


def configure_library() -> None:
    """Sets the library to plain HTTP, small writes, no progress bars, and a deadline for each response.

    Hugging Face's other transports, xet and hf_transfer, start over after an interruption and report bytes late.
    Raises OfflineModeIsEnabled.
    """
    import requests
    from huggingface_hub import configure_http_backend, constants
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import disable_progress_bars
    from requests.adapters import HTTPAdapter

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_ENABLE_HF_TRANSFER = False
    constants.DOWNLOAD_CHUNK_SIZE = WRITE_BYTES
    disable_progress_bars()

    class AnswersInTime(HTTPAdapter):
        def send(self, *args: Any, **more: Any) -> requests.Response:
            return super().send(*args, **more | {"timeout": more.get("timeout") or constants.HF_HUB_ETAG_TIMEOUT})

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", AnswersInTime())
        made.mount("https://", AnswersInTime())
        return made

    configure_http_backend(session)


def nearest_existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())


def check_free_space(folder: Path, coming_bytes: int, floor_bytes: int) -> None:
    """Raises EngineRefusal `disk_full` if the download would leave less than `floor_bytes` on the folder's disk."""
    there = nearest_existing(folder)
    free = shutil.disk_usage(there).free
    if coming_bytes + floor_bytes > free:
        raise EngineRefusal(
            "disk_full",
            f"{coming_bytes / 1e6:.0f} MB are to be downloaded and {free / 1e6:.0f} MB are free at {there}, of which "
            f"{floor_bytes / 1e6:.0f} MB must stay free",
            "free some space: `steno models list` shows the models, `steno models remove NAME` deletes one",
        )


# --- what the library ran into, as a refusal ------------------------------------------------------------------------


def hub_refusal(hub_id: str, error: Exception) -> EngineRefusal:
    """The refusal for a failed download from the hub."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        how = f"accept them at {ENDPOINT}/{hub_id}, then set HF_TOKEN"
        return EngineRefusal("gated_model", f"{hub_id} wants its terms accepted", how)
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        how = "check the name; a private model wants HF_TOKEN"
        return EngineRefusal("no_such_model", f"the hub has no model {hub_id}", how)
    by_hand = f"copy {cache_folder(hub_id)} from a machine that has it"
    return refusal("hub_unreachable", ENDPOINT, hub_id, f"a mirror: set HF_ENDPOINT; or {by_hand}", "HF_HOME", error)


def refusal(code: str, server: str, asked: str, other_way: str, setting: str, error: Exception) -> EngineRefusal:
    """The refusal for any failed download; `setting` names the variable that moves the target folder."""
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
    from requests.exceptions import HTTPError, RequestException

    match error:
        case OfflineModeIsEnabled():
            return EngineRefusal("offline", "HF_HUB_OFFLINE is set, so nothing is fetched", f"unset it; {other_way}")
        case OSError(errno=errno.ENOSPC):
            return EngineRefusal("disk_full", f"the disk filled up with {asked}", "make room and start this again")
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            what = f"{error.filename} cannot be written: {error.strerror}"
            return EngineRefusal("cache_not_writable", what, f"set {setting} elsewhere")
        case HTTPError(response=response) if response is not None:
            why = f"answers with HTTP {response.status_code}"
        case RequestException() | LocalEntryNotFoundError() | FileNotFoundError():
            # FileNotFoundError: the library returns an incomplete snapshot when it cannot reach the hub.
            why = f"cannot be reached, or does not answer within {HF_HUB_ETAG_TIMEOUT} s"
        case _:
            why = f"failed: {error}"
    return EngineRefusal(
        code, f"{server} {why} (asked for {asked})", f"once there is network, the same command continues; {other_way}"
    )
