"""One `[[watch]]` of config.toml: a folder, and how its recordings want to be treated.

Runs in: every process.
"""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from config.field_types import Command, Folder, InnerFolder, Language, NameTemplate, Pattern, Section
from ipc.vocabulary import Format, IfExists, Priority, Task, Workflow

LONGEST_PATH = 4096
"""Characters. Linux takes this many bytes, macOS fewer; a job's options hold no more."""


class WatchEntry(Section):
    """Whatever is unset is as the settings outside say."""

    path: Folder
    """The watched folder."""
    recursive: bool = False
    """Whether folders within it count."""
    include: tuple[Pattern, ...] = ()
    """Patterns like `*.m4a` or `meetings/*`; empty: every name of a recording. `*.xyz` makes other names ones."""
    exclude: tuple[Pattern, ...] = ()
    """Patterns of what is left alone, stronger than `include`."""
    polling: bool | None = None
    """Whether to do without file events; unset: chosen by the kind of disk, polling on network disks."""
    done: InnerFolder | None = None
    """Where a recording is moved once its files are safely written; unset: it stays."""
    failed: InnerFolder | None = None
    """Where a recording is moved when its job failed; unset: it stays."""

    language: Language | None = None
    task: Task | None = None
    workflow: Workflow | None = None
    prompt: str | None = Field(default=None, max_length=4000)
    replacements: dict[str, str] | None = None
    """Written words → words to write instead, on top of the global ones."""
    model: str | None = Field(default=None, min_length=1)
    formats: tuple[Format, ...] | None = Field(default=None, min_length=1)
    output: InnerFolder | None = None
    """Where the files go; unset: as output.folder says."""
    name: NameTemplate | None = None
    if_exists: IfExists | None = None
    highlight_words: bool | None = None
    track: int | None = Field(default=None, ge=1, le=1000)
    """Which sound track to take, counted from 1; unset: chosen."""
    priority: Priority | None = None
    """`now`: between two batches of a running job; `archive`: others go first, mostly; unset: normal."""

    on_done: Command | None = None
    """Instead of hooks.on_done; empty: no command for this folder."""
    on_failed: Command | None = None
    on_degraded: Command | None = None

    @model_validator(mode="after")
    def _is_no_circle(self) -> Self:
        for folder in (self.done, self.failed):
            if folder is not None and self.within(folder) == self.path:
                raise ValueError(f"{self.path}: done and failed must be other folders than the watched one")
        return self

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        for folder in (self.path, self.output, self.done, self.failed):
            if folder is not None and len(str(self.within(folder))) > LONGEST_PATH:
                raise ValueError(f"{str(folder)[:40]}… in {str(self.path)[:40]}… is longer than any path may be")
        return self

    def within(self, folder: Path) -> Path:
        """An InnerFolder of this entry, absolute."""
        return Path(os.path.normpath(self.path / folder))
