"""The enumerations of settings, jobs and workers, defined once. Plain: `steno --help` imports them without pydantic.

Runs in: every process.
"""

from typing import Literal

Role = Literal["transcriber", "aligner"]
Task = Literal["transcribe", "translate"]
Workflow = Literal["transcribe", "subtitle"]
"""`subtitle` needs words with times; `transcribe` skips alignment on purpose."""
Format = Literal["json", "srt", "vtt", "txt", "tsv", "md"]
Priority = Literal["now", "normal", "archive"]
"""How urgent a job is. `now`: it goes between two batches of a running job; `archive`: others go first, mostly."""
IfExists = Literal["renew", "skip", "overwrite", "suffix"]
"""`renew`: replace what stenod wrote for this recording, unedited; beside anything else write `name (2)`."""
JobStatus = Literal["waiting", "transcribing", "aligning", "writing", "done", "failed", "cancelled"]
FINISHED: frozenset[JobStatus] = frozenset({"done", "failed", "cancelled"})
Outcome = Literal["done", "crashed", "failed", "timeout"]
Phase = Literal["loading", "downloading", "decoding", "speech", "language", "transcribing", "aligning", "paused"]
"""What a worker does; a crash is attributed to the last reported phase. `paused`: an urgent job goes first."""
LogLevel = Literal["debug", "info", "warning", "error"]
FolderState = Literal["watching", "offline", "needs_permission"]
"""Of a watched folder."""
WhyPassed = Literal[
    "name_is_not_utf8",
    "only_in_icloud",
    "folder_cannot_be_read",
    "is_a_symlink",
    "name_ends_in_space",
    "name_of_unfinished_file",
]
"""Why a scan of a watched folder skipped a file that it would otherwise have submitted."""
