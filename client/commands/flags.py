"""Flags that say how recordings are transcribed and written: the same for `submit` and for a watched folder.

Runs in: the user's shell. Each parameter has the name of a field of JobOptions, and its value is one of that field.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from client.commands import completion
from client.terminal import choices
from config.model_names import language_code
from ipc import vocabulary

PANEL = "Transcription and output"


def read_by(understand: Callable[[Any], object]) -> Callable[[Any], Any]:
    """The value of a flag's text, by a function that raises ValueError; None where the flag was not given."""

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


def flag(
    help: str,
    *names: str,
    read: Callable[[Any], object] | None = None,
    offers: Callable[[str], Any] | None = None,
    panel: str = PANEL,
    **more: Any,
) -> Any:
    """An option. `read` makes its value of the text; `offers` is what TAB completes it to."""
    callback = None if read is None else read_by(read)
    return typer.Option(*names, help=help, callback=callback, autocompletion=offers, rich_help_panel=panel, **more)


def formats(*names: str) -> Any:
    """The flag, called so: whisper's own command spells some flags otherwise."""
    metavar = "json,srt,…|all"
    return flag("Output formats.", *names, read=choices.formats_of, offers=completion.formats, metavar=metavar)


def output_dir(understand: Callable[[str], str], *names: str) -> Any:
    """The flag, called so; `understand` makes a path of its text."""
    return flag("Output folder. Default: beside the recording.", *names, read=understand, metavar="DIR")


def prompt(*names: str) -> Any:
    """The flag, called so."""
    return flag("Names and spellings the model should know.", *names)


OUTPUT_DIR = ("--output-dir", "-o")
LANGUAGE = "Spoken language: a code or an English name. Default: detected."
MODEL = "Transcription model: a name, a hub ID, a folder or `starter`."
NAME = "Name of the output files: {stem}, {name}, {folder}, {language}, {date}, {time}."
IF_EXISTS = (
    "What to do with existing files: renew, skip, overwrite or suffix. renew replaces only unedited files that "
    "stenod wrote for this recording; overwrite first renames any other file to NAME~."
)
HIGHLIGHT = "Mark each word in VTT files as it is spoken."
PRIORITY = "now: before the next batch of a running job; archive: after most others. Default: normal."
TRACK = "Audio track, counted from 1. Default: chosen automatically."

Language = Annotated[str | None, flag(LANGUAGE, metavar="xx", read=language_code, offers=completion.languages)]
Task = Annotated[vocabulary.Task | None, flag("translate: write English text.")]
Workflow = Annotated[vocabulary.Workflow | None, flag("subtitle: with word times; transcribe: without.")]
Prompt = Annotated[str | None, prompt("--prompt")]
Replacements = Annotated[
    list[str] | None,
    flag(
        "Replace WRONG with RIGHT in the transcript. Repeatable.",
        "--replace",
        metavar="WRONG=RIGHT",
        read=_replacements,
    ),
]
Model = Annotated[str | None, flag(MODEL, read=choices.model_named, offers=completion.models)]
Formats = Annotated[str | None, formats("--format", "-f")]
OutputName = Annotated[str | None, flag(NAME, "--name", metavar="TEMPLATE", read=choices.name_template)]
IfExists = Annotated[vocabulary.IfExists | None, flag(IF_EXISTS, metavar="POLICY")]
HighlightWords = Annotated[bool | None, flag(HIGHLIGHT, "--highlight-words")]
Track = Annotated[int | None, flag(TRACK, min=1)]
Priority = Annotated[vocabulary.Priority | None, flag(PRIORITY, metavar="CLASS")]
