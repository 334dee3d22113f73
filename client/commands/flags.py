"""Flags that say how recordings are transcribed and written: the same for `submit` and for a watched folder.

Runs in: the user's shell.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from client.commands import completion
from client.terminal import choices
from client.terminal.languages import language_code

PANEL = "Transcription and output"


def checked(understand: Callable[[str], object]) -> Callable[[str | None], str | None]:
    """A check for a flag's text by a function that raises ValueError; returns the text itself."""

    def check(text: str | None) -> str | None:
        if text is not None:
            try:
                understand(text)
            except ValueError as wrong:
                raise typer.BadParameter(str(wrong)) from wrong
        return text

    return check


def replacement(text: str) -> tuple[str, str]:
    """`Kate=Käthe` → what the model writes, and what to write instead. Raises ValueError."""
    wrong, sign, right = text.partition("=")
    if not sign or not wrong.strip():
        raise ValueError(f'{text!r}: write it as "wrong=right"')
    return wrong.strip(), right.strip()


def replacements_checked(pairs: list[str] | None) -> list[str] | None:
    """For typer: the same, of every pair."""
    for pair in pairs or ():
        checked(replacement)(pair)
    return pairs


def replacements_of(pairs: list[str] | None) -> dict[str, str] | None:
    """The pairs as a job wants them; None where none was given."""
    return dict(map(replacement, pairs)) if pairs else None


Language = Annotated[
    str | None,
    typer.Option(
        metavar="xx",
        help="Spoken language: a code or an English name. Default: detected.",
        callback=checked(language_code),
        autocompletion=completion.languages,
        rich_help_panel=PANEL,
    ),
]
Task = Annotated[choices.Task | None, typer.Option(help="translate: write English text.", rich_help_panel=PANEL)]
Workflow = Annotated[
    choices.Workflow | None,
    typer.Option(help="subtitle: with word times; transcribe: without.", rich_help_panel=PANEL),
]
Prompt = Annotated[str | None, typer.Option(help="Names and spellings the model should know.", rich_help_panel=PANEL)]
Replace = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WRONG=RIGHT",
        help="Replace WRONG with RIGHT in the transcript. Repeatable.",
        callback=replacements_checked,
        rich_help_panel=PANEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Transcription model: a name, a hub ID, a folder or `starter`.",
        autocompletion=completion.models,
        rich_help_panel=PANEL,
    ),
]
Formats = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="json,srt,…",
        help="Output formats.",
        callback=checked(choices.formats_of),
        autocompletion=completion.formats,
        rich_help_panel=PANEL,
    ),
]
OutputDir = Annotated[
    str | None,
    typer.Option(
        "--output-dir",
        "-o",
        metavar="DIR",
        help="Output folder. Default: beside the recording.",
        rich_help_panel=PANEL,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Name of the output files: {stem}, {name}, {folder}, {language}, {date}, {time}.",
        callback=checked(choices.name_template),
        rich_help_panel=PANEL,
    ),
]
IfExists = Annotated[
    choices.IfExists | None,
    typer.Option(
        metavar="POLICY",
        help="What to do with existing files: renew, skip, overwrite or suffix. renew replaces only unedited "
        "files that stenod wrote for this recording; overwrite first renames any other file to NAME~.",
        rich_help_panel=PANEL,
    ),
]
HighlightWords = Annotated[
    bool | None,
    typer.Option("--highlight-words", help="Mark each word in VTT files as it is spoken.", rich_help_panel=PANEL),
]
Track = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Audio track, counted from 1. Default: chosen automatically.",
        rich_help_panel=PANEL,
    ),
]
