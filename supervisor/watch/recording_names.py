"""Which names in a watched folder are recordings, and which folders are looked into: pure.

Runs in: supervisor.

A watch folder is also where people keep notes, and where our own outputs land: a PDF must not become a failed
job, so only what audio and video are called is taken. `steno submit` takes any name.
"""

import re
from typing import Literal

# fmt: off
AUDIO = frozenset({
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".awb", ".bwf", ".caf", ".dts", ".eac3", ".flac",
    ".m4a", ".m4b", ".m4r", ".mka", ".mp2", ".mp3", ".mpga", ".oga", ".ogg", ".opus", ".qta", ".spx", ".tta", ".w64",
    ".wav", ".wave", ".weba", ".wma", ".wv",
})
"""`.qta` is what Voice Memos writes since macOS 26."""
VIDEO = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
})
CLOSED_FOLDERS = (
    ".app", ".band", ".download", ".fcpbundle", ".imovielibrary", ".logicx", ".musiclibrary", ".photoslibrary",
    ".tvlibrary",
)
"""Folders that macOS shows as one document: what is in them belongs to a program; Safari's is half a download."""
# fmt: on
MEDIA = AUDIO | VIDEO
INTERMEDIATE = (".temp", ".tmp")
"""yt-dlp merges into `talk.temp.m4a` and renames it when it is whole."""


STUB = re.compile(r"\.(?P<name>.+)\.icloud")


def is_candidate(name: str) -> bool:
    """Whether a file of this name, anywhere, may be a finished recording.

    What downloads and editors leave on the way needs no list: `talk.m4a.part`, `.crdownload` or `talk.m4a~` do not
    end as recordings do.
    """
    return is_finished(name) and is_media(name)


def is_finished(name: str) -> bool:
    """Hidden files (`._talk.m4a` is a resource fork), Office's `~$` locks and half-merged downloads are not."""
    return not name.startswith((".", "~$")) and not name.lower().rpartition(".")[0].endswith(INTERMEDIATE)


def name_meant(name: str) -> tuple[str, Literal["name_ends_in_space", "name_of_unfinished_file"]] | None:
    """A name that only just misses: what a finished recording would be called, and why this one is passed over.

    `talk.wav ` misses by a space that no file manager shows, `body.temp.wav` by what a download leaves behind.
    """
    if name != name.rstrip() and is_candidate(name.rstrip()):
        return name.rstrip(), "name_ends_in_space"
    if name.startswith((".", "~$")) or is_finished(name) or not is_media(name):
        return None
    stem, dot, ending = name.rpartition(".")
    return stem.rpartition(".")[0] + dot + ending, "name_of_unfinished_file"


def is_media(name: str) -> bool:
    """Whether it ends as recordings do."""
    _, dot, ending = name.lower().rpartition(".")
    return dot + ending in MEDIA


def name_in_icloud(name: str) -> str | None:
    """`.talk.m4a.icloud`, which stood for `talk.m4a` in iCloud until macOS 14 → that name; None for other files."""
    stub = STUB.fullmatch(name)
    return None if stub is None else stub["name"]


def is_searched(name: str) -> bool:
    """Whether a folder of this name, inside a recursively watched one, is looked into."""
    return not name.startswith(".") and not name.lower().endswith(CLOSED_FOLDERS)


def is_storable(path: str) -> bool:
    """Whether the path is valid UTF-8. What is not has surrogates in it and fits neither JSON nor the database."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
