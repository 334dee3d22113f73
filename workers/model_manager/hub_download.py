"""One repository of the hub → the shared cache: what it consists of, byte by byte, going on where it once stopped.

Runs in: worker (the program behind `steno models`).
"""

import errno
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.engine import EngineRefusal
from workers.models.hub_cache import ANSWER_SECONDS, cache_folder, has_hash, plain_downloads
from workers.models.starter import PIECE_BYTES
from workers.models.transfer import Progressed, RetryBudget, room_for, watched


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    name: str
    size_bytes: int | None
    """None: the hub, or a mirror of it, does not say."""
    blob: str | None
    """What it is filed under in the cache: sha256 for large files, git's hash for small ones."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What the hub has under one id."""

    hub_id: str
    files: tuple[HubFile, ...]
    model_type: str | None
    """As its config.json says: `whisper`, `wav2vec2` …"""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(file.name for file in self.files)


def repository(hub_id: str) -> Repository:
    """What the hub has there. Raises EngineRefusal `no_such_model`, `gated_model`, `offline` or `hub_unreachable`."""
    plain_downloads()
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(hub_id, files_metadata=True, timeout=ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise hub_refusal(hub_id, error) from error
    return Repository(
        hub_id=hub_id,
        files=tuple(
            HubFile(one.rfilename, one.size, one.lfs.sha256 if one.lfs else one.blob_id)
            for one in found.siblings or ()
        ),
        model_type=(found.config or {}).get("model_type"),
    )


def fetch(
    hub_id: str,
    files: Sequence[HubFile],
    floor_bytes: int,
    progressed: Progressed,
    checked: Progressed,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Path, int]:
    """The snapshot's folder with these files in it, every byte checked, and how many bytes came for it.

    Raises EngineRefusal as `repository` does, and `disk_full`, `model_damaged`.
    """
    blobs = cache_folder(hub_id) / "blobs"
    here = sum(bytes_of(blobs, file) for file in files)
    room_for(blobs, sum(file.size_bytes or 0 for file in files) - here, floor_bytes)
    fetched = [_fetch_whole(hub_id, file, blobs, progressed, checked, sleep) for file in files]
    return fetched[0][0].parent, sum(came for _, came in fetched)


def _fetch_whole(
    hub_id: str,
    file: HubFile,
    blobs: Path,
    progressed: Progressed,
    checked: Progressed,
    sleep: Callable[[float], None],
) -> tuple[Path, int]:
    """A file that came damaged, or lies damaged in the cache, is fetched once more from its first byte."""
    came = 0
    for _ in range(2):
        before = bytes_of(blobs, file)
        pointer = _fetch(hub_id, file, blobs, progressed, sleep)
        blob = pointer.resolve()
        came += blob.stat().st_size - before
        if has_hash(blob, file.blob or blob.name, reading(blob, file.name, checked)):
            return pointer, came
        blob.unlink()
    raise EngineRefusal(
        "model_damaged",
        f"{file.name} of {hub_id} arrived damaged, twice",
        "something between here and the hub changes files; try another network or another HF_ENDPOINT",
    )


def reading(file: Path, name: str, checked: Progressed) -> Callable[[], None]:
    """A step for those who read the file piece by piece, which tells how far they are."""
    total, pieces = file.stat().st_size, itertools.count(1)
    return lambda: checked(name, min(next(pieces) * PIECE_BYTES, total), total)


def _fetch(hub_id: str, file: HubFile, blobs: Path, progressed: Progressed, sleep: Callable[[float], None]) -> Path:
    from huggingface_hub import hf_hub_download
    from requests import exceptions

    budget = RetryBudget(sleep)
    while True:
        before = bytes_of(blobs, file)
        _drop_what_is_too_long(blobs, file)
        try:
            with watched(lambda: bytes_of(blobs, file), lambda now: progressed(file.name, now, file.size_bytes)):
                pointer = Path(hf_hub_download(hub_id, file.name, etag_timeout=ANSWER_SECONDS))
            progressed(file.name, bytes_of(blobs, file), file.size_bytes)
            return pointer
        except (exceptions.ChunkedEncodingError, exceptions.ConnectionError, exceptions.Timeout) as broken:
            if not budget.may_try_again(bytes_of(blobs, file) - before):
                raise hub_refusal(hub_id, broken) from broken
        except (OSError, ValueError) as error:
            raise hub_refusal(hub_id, error) from error


def _drop_what_is_too_long(blobs: Path, file: HubFile) -> None:
    """A rest of something else: nothing could follow on it."""
    rest = blobs / f"{file.blob}.incomplete"
    if file.size_bytes is not None and rest.is_file() and rest.stat().st_size > file.size_bytes:
        rest.unlink()


def bytes_of(blobs: Path, file: HubFile) -> int:
    """What of the file is here, whole or not."""
    # The last look is for one that was given its name between the first two.
    for name in (file.blob, f"{file.blob}.incomplete", file.blob):
        try:
            return (blobs / str(name)).stat().st_size
        except FileNotFoundError:
            continue
    return 0


def hub_refusal(hub_id: str, error: Exception) -> EngineRefusal:
    """What the hub's library ran into, as a refusal."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    by_hand = f"or copy {cache_folder(hub_id)} from a machine that has it"
    match error:
        case GatedRepoError():
            return EngineRefusal(
                "gated_model",
                f"{hub_id} wants its terms accepted",
                f"accept them at {ENDPOINT}/{hub_id}, then set HF_TOKEN",
            )
        case RepositoryNotFoundError() | HFValidationError():
            return EngineRefusal(
                "no_such_model", f"the hub has no model {hub_id}", "check the name; a private model wants HF_TOKEN"
            )
        case OfflineModeIsEnabled():
            return EngineRefusal("offline", "HF_HUB_OFFLINE is set, so nothing is fetched", f"unset it, {by_hand}")
        case OSError(errno=errno.ENOSPC):
            return EngineRefusal("disk_full", f"the disk filled up with {hub_id}", "make room and start this again")
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return EngineRefusal(
                "cache_not_writable", f"{error.filename} cannot be written: {error.strerror}", "set HF_HOME elsewhere"
            )
        case HfHubHTTPError(response=response) if response is not None:
            why = f"answers with HTTP {response.status_code}"
        case _:
            why = "does not answer" if _is_about_network(error) else f"failed: {error}"
    return EngineRefusal(
        "hub_unreachable",
        f"{ENDPOINT} {why} (asked for {hub_id})",
        f"once there is network, the same command goes on; a mirror: set HF_ENDPOINT; {by_hand}",
    )


def _is_about_network(error: Exception) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError
    from requests.exceptions import RequestException

    return isinstance(error, RequestException | LocalEntryNotFoundError)
