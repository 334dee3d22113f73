"""The names of recordings in a watched folder, and of the folders that are searched: pure.

Runs in: supervisor.

A watched folder also contains notes and our own results: a PDF must not become a failed job, so only audio and video
extensions are accepted. `steno submit` accepts any name.
"""

import re
from typing import Literal

# fmt: off
AUDIO = frozenset({
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".awb", ".bwf", ".caf", ".dts", ".eac3", ".flac",
    ".m4a", ".m4b", ".m4r", ".mka", ".mp2", ".mp3", ".mpga", ".oga", ".ogg", ".opus", ".qta", ".spx", ".tta", ".w64",
    ".wav", ".wave", ".weba", ".wma", ".wv",
})
"""Voice Memos writes `.qta` since macOS 26."""
VIDEO = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
})
CLOSED_FOLDERS = (
    ".app", ".band", ".download", ".fcpbundle", ".imovielibrary", ".logicx", ".musiclibrary", ".photoslibrary",
    ".tvlibrary",
)
"""Folders that macOS shows as one document: their content belongs to a program; Safari's is a partial download."""
# fmt: on
MEDIA = AUDIO | VIDEO
INTERMEDIATE = (".temp", ".tmp")
"""yt-dlp merges into `talk.temp.m4a` and renames it when it is complete."""


STUB = re.compile(r"\.(?P<name>.+)\.icloud")


def is_candidate(name: str) -> bool:
    """Whether a file of this name, anywhere, may be a finished recording.

    Partial files of downloads and editors need no list: `talk.m4a.part`, `.crdownload` or `talk.m4a~` do not have a
    recording's extension.
    """
    return is_finished(name) and is_media(name)


def is_finished(name: str) -> bool:
    """False for hidden files (`._talk.m4a` is a resource fork), Office's `~$` locks and partial downloads."""
    return not name.startswith((".", "~$")) and not name.lower().rpartition(".")[0].endswith(INTERMEDIATE)


def name_meant(name: str) -> tuple[str, Literal["name_ends_in_space", "name_of_unfinished_file"]] | None:
    """For a near miss: the name that a finished recording would have, and why this one is skipped.

    `talk.wav ` has a space that file managers do not show, `body.temp.wav` looks like a partial download.
    """
    if name != name.rstrip() and is_candidate(name.rstrip()):
        return name.rstrip(), "name_ends_in_space"
    if name.startswith((".", "~$")) or is_finished(name) or not is_media(name):
        return None
    stem, dot, ending = name.rpartition(".")
    return stem.rpartition(".")[0] + dot + ending, "name_of_unfinished_file"


def is_media(name: str) -> bool:
    """Whether it has a recording's extension."""
    _, dot, ending = name.lower().rpartition(".")
    return dot + ending in MEDIA


def name_in_icloud(name: str) -> str | None:
    """`.talk.m4a.icloud`, the placeholder of `talk.m4a` in iCloud until macOS 14 → that name; None for other
    files."""
    stub = STUB.fullmatch(name)
    return None if stub is None else stub["name"]


def is_searched(name: str) -> bool:
    """Whether a folder of this name, inside a recursively watched one, is searched."""
    return not name.startswith(".") and not name.lower().endswith(CLOSED_FOLDERS)


def is_storable(path: str) -> bool:
    """Whether the path is valid UTF-8. Other paths contain surrogates, which neither JSON nor the database can
    store."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
