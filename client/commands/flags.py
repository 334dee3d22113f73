"""Flags that say how recordings are transcribed and written: the same for `submit` and for a watched folder.

Runs in: the user's shell. Each parameter has the name of a field of JobOptions, and its value is one of that field.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from client.commands import completion
from client.terminal import choices
from client.terminal.languages import language_code

PANEL = "Transcription and output"


def read_by(understand: Callable[[Any], object]) -> Callable[[Any], Any]:
    """What a flag's text stands for, by a function that raises ValueError; None where the flag was not given."""

    def read(given: Any) -> Any:
        if given is None or given == []:
            return None
        try:
            return understand(given)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from wrong

    return read


def _replacements(pairs: list[str]) -> dict[str, str]:
    """`Kate=Käthe` → what the model writes, and what to write instead. Raises ValueError."""
    found = {}
    for pair in pairs:
        wrong, sign, right = pair.partition("=")
        if not sign or not wrong.strip():
            raise ValueError(f'{pair!r}: write it as "wrong=right"')
        found[wrong.strip()] = right.strip()
    return found


Language = Annotated[
    str | None,
    typer.Option(
        metavar="xx",
        help="Spoken language: a code or an English name. Default: detected.",
        callback=read_by(language_code),
        autocompletion=completion.languages,
        rich_help_panel=PANEL,
    ),
]
Task = Annotated[choices.Task | None, typer.Option(help="translate: write English text.", rich_help_panel=PANEL)]
Workflow = Annotated[
    choices.Workflow | None,
    typer.Option(help="subtitle: with word times; transcribe: without.", rich_help_panel=PANEL),
]


def prompt(*names: str) -> Any:
    """The flag, called so."""
    return typer.Option(*names, help="Names and spellings the model should know.", rich_help_panel=PANEL)


Prompt = Annotated[str | None, prompt("--prompt")]
Replacements = Annotated[
    list[str] | None,
    typer.Option(
        "--replace",
        metavar="WRONG=RIGHT",
        help="Replace WRONG with RIGHT in the transcript. Repeatable.",
        callback=read_by(_replacements),
        rich_help_panel=PANEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Transcription model: a name, a hub ID, a folder or `starter`.",
        callback=read_by(choices.model_named),
        autocompletion=completion.models,
        rich_help_panel=PANEL,
    ),
]


def formats(*names: str) -> Any:
    """The flag, called so: whisper's own command spells some flags otherwise."""
    return typer.Option(
        *names,
        metavar="json,srt,…|all",
        help="Output formats.",
        callback=read_by(choices.formats_of),
        autocompletion=completion.formats,
        rich_help_panel=PANEL,
    )


def output_dir(understand: Callable[[str], str], *names: str) -> Any:
    """The flag, called so; `understand` makes a path of its text."""
    return typer.Option(
        *names,
        metavar="DIR",
        help="Output folder. Default: beside the recording.",
        callback=read_by(understand),
        rich_help_panel=PANEL,
    )


Formats = Annotated[str | None, formats("--format", "-f")]
OUTPUT_DIR = ("--output-dir", "-o")
OutputName = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="Name of the output files: {stem}, {name}, {folder}, {language}, {date}, {time}.",
        callback=read_by(choices.name_template),
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
    typer.Option(min=1, help="Audio track, counted from 1. Default: chosen automatically.", rich_help_panel=PANEL),
]
