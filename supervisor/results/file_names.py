"""The names of result files: the recording's own name, or a filled-in template. Pure.

Runs in: supervisor.
"""

import hashlib
import os
import unicodedata
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from supervisor.store.job import Job
from supervisor.system.graphemes import cut_to_bytes

LONGEST_NAME_BYTES = 255
LONGEST_EXTENSION_BYTES = len(".json")
LATEST_SECONDS = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
NOT_KNOWN = "und"
"""ISO 639-2 for a language that was neither set nor detected."""


def name_of(template: str, job: Job, suffix: str = "", local: tzinfo | None = None) -> str:
    """The name of a job's results, before the extension.

    `template` is a checked NameTemplate; date and time are those of the recording's mtime, in the time zone `local`;
    None: the machine's. Players look for `X.srt` beside `X.mov`, so the name keeps every character of the recording's
    name, also invisible ones, those at its ends, and the dot of a hidden file; only control characters and `/` become
    `_`. A name too long for the extensions ends in a hash of the recording's name, so that two long names differ. A
    name that is not UTF-8 keeps its bytes.
    """
    recording = Path(job.first_path)
    # File systems store times outside the calendar's range.
    changed = datetime.fromtimestamp(min(max(job.identity.mtime_ns / 1e9, 0.0), LATEST_SECONDS), local)
    name = template.format_map(
        {
            "stem": recording.stem,
            "name": recording.name,
            "folder": recording.parent.name,
            "language": job.language or NOT_KNOWN,
            "date": f"{changed:%Y-%m-%d}",
            "time": f"{changed:%H.%M.%S}",
        }
    )
    name = "".join("_" if sign == "/" or unicodedata.category(sign) == "Cc" else sign for sign in name)
    room = LONGEST_NAME_BYTES - LONGEST_EXTENSION_BYTES - len(os.fsencode(suffix))
    if len(os.fsencode(name)) > room:
        mark = "~" + hashlib.sha256(os.fsencode(recording.name)).hexdigest()[:8]
        name = cut_to_bytes(name, room - len(mark)) + mark
    return (name or "_") + suffix


def needs_language(template: str) -> bool:
    """Whether the name depends on the detected language."""
    return "{language}" in template
