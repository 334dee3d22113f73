"""torchaudio's alignment models on disk: where torch looks for them, and whether one is whole.

Runs in: worker. Needs no torch: what has to be known of it is a folder and a file's name.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from config.model_names import BUNDLE_FILES
from workers.models.starter import PIECE_BYTES

BUNDLE_ADDRESS = "https://download.pytorch.org/torchaudio/models/"


def checkpoints_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where torch.hub keeps files, as `torch.hub.get_dir` finds it."""
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("TORCH_HOME") or str(Path(caches) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def bundle_file(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The file of one of the bundles in BUNDLE_FILES, there or not."""
    return checkpoints_folder(environment) / BUNDLE_FILES[name]


def what_is_torn_in_bundle(file: Path, step: Callable[[], None], *, deep: bool) -> str | None:
    """Why the file cannot be whole; None if it seems to be. `deep` reads all of it against its own checksums.

    No hash of these files is published, but each is a zip, and a zip knows the CRC-32 of everything in it.
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
