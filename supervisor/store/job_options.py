"""What a job asks for once its own options are laid over the settings: pure.

Runs in: supervisor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from ipc.api_messages import Format, IfExists, JobOptions, Workflow
from ipc.worker_messages import Task


@dataclass(frozen=True, slots=True)
class JobWishes:
    """Every option decided."""

    workflow: Workflow
    language: str | None
    """None: found by listening."""
    task: Task
    prompt: str | None
    model: str | None
    """What the transcriber is to load for this job; None: as the settings say."""
    formats: tuple[Format, ...]
    folder: Path | None
    """Where the files go; None: beside the recording."""
    if_exists: IfExists
    highlight_words: bool
    name: str
    """The template of the files' names."""
    replacements: Mapping[str, str]
    """Written words → words to write instead."""

    @property
    def wants_words(self) -> bool:
        """Whether words are to be timed. A translation's words are not in the sound: there is nothing to align."""
        return self.workflow == "subtitle" and self.task == "transcribe"


def wishes_of(options: JobOptions, settings: Settings) -> JobWishes:
    """The job's options where given, the settings elsewhere."""
    output = settings.output
    return JobWishes(
        workflow=options.workflow or settings.workflow,
        language=options.language or settings.language,
        task=options.task or settings.task,
        prompt=settings.prompt if options.prompt is None else options.prompt,
        model=options.model,
        formats=options.formats or output.formats,
        folder=Path(options.output_dir) if options.output_dir is not None else _expanded(output.folder),
        if_exists=options.if_exists or output.if_exists,
        highlight_words=output.highlight_words if options.highlight_words is None else options.highlight_words,
        name=options.output_name or output.name,
        replacements=settings.replacements | (options.replacements or {}),
    )


def _expanded(folder: Path | None) -> Path | None:
    return None if folder is None else folder.expanduser().absolute()
