"""The verbs about watched folders: watch list, add, remove.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from client.commands import completion, flags
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import choices, output
from client.terminal.languages import language_code

app = typer.Typer(
    no_args_is_help=True, help="Manage watched folders: new recordings in them are transcribed automatically."
)
NAMES, AFTERWARDS = "Which recordings", "Afterwards"
Folder = Annotated[Path, typer.Argument(metavar="DIR")]
Patterns = list[str] | None


@app.command("list", epilog="\nExample:\n  steno watch list --json")
def watch_list(json: Json = False) -> None:
    """Show the watched folders, their options and the files still being written."""
    with here.daemon() as daemon:
        found = daemon.watches()
    if json:
        output.print_json_array(found)
        return
    from client.views.watches import watch_page

    output.show(watch_page(found))


@app.command(
    "add",
    epilog="\nExamples:\n  steno watch add ~/Recordings --recursive\n"
    '  steno watch add ~/Memos --include "*.m4a" --language de --done done --replace "Kate=Käthe"\n'
    '  steno watch add /Volumes/nas/talks -f md -o ~/Notes --name "{date} {stem}"\n\n'
    "Adding a watched folder again replaces its options.",
)
def watch_add(
    folder: Folder,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Include subfolders.", rich_help_panel=NAMES)
    ] = False,
    include: Annotated[
        Patterns,
        typer.Option(
            metavar="PATTERN",
            help="Only names like *.m4a or meetings/*. Repeatable. *.xyz adds a new kind of recording.",
            rich_help_panel=NAMES,
        ),
    ] = None,
    exclude: Annotated[
        Patterns,
        typer.Option(metavar="PATTERN", help="Skip names like this. Repeatable.", rich_help_panel=NAMES),
    ] = None,
    polling: Annotated[
        bool | None,
        typer.Option(
            "--polling/--no-polling",
            help="Scan at intervals instead of using file events. Default: on network disks.",
            rich_help_panel=NAMES,
        ),
    ] = None,
    language: flags.Language = None,
    task: flags.Task = None,
    workflow: flags.Workflow = None,
    prompt: flags.Prompt = None,
    replace: flags.Replace = None,
    model: flags.Model = None,
    formats: flags.Formats = None,
    output_dir: flags.OutputDir = None,
    name: flags.Name = None,
    if_exists: flags.IfExists = None,
    highlight_words: flags.HighlightWords = None,
    track: flags.Track = None,
    done: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Move recordings here once their files are written.", rich_help_panel=AFTERWARDS
        ),
    ] = None,
    failed: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Move recordings here if their job failed.", rich_help_panel=AFTERWARDS),
    ] = None,
    json: Json = False,
) -> None:
    """Watch a folder, also after a restart, until `steno watch remove`.

    The folders of -o, --done and --failed are relative to DIR unless they begin with / or ~ or ./
    """
    from client.following.submit import options_of

    options = options_of(
        workflow=workflow,
        language=None if language is None else language_code(language),
        task=task,
        prompt=prompt,
        formats=None if formats is None else choices.formats_of(formats),
        output_dir=None if output_dir is None else inner_folder(output_dir),
        if_exists=if_exists,
        highlight_words=highlight_words,
        track=track,
        model=model,
        replacements=flags.replacements_of(replace),
        output_name=name,
    )
    with here.daemon() as daemon:
        found = daemon.add_watch(
            choices.absolute(str(folder)),
            recursive=recursive,
            include=include or (),
            exclude=exclude or (),
            polling=polling,
            done=None if done is None else inner_folder(done),
            failed=None if failed is None else inner_folder(failed),
            options=options,
        )
    if json:
        output.print_json(found)
        return
    from client.views.watches import watch_page

    output.show(watch_page([found]))


@app.command("remove", epilog="\nExample:\n  steno watch remove ~/Recordings")
def watch_remove(
    folder: Annotated[Path, typer.Argument(metavar="DIR", autocompletion=completion.watched_folders)],
) -> None:
    """Stop watching a folder. Its jobs continue."""
    path = choices.absolute(str(folder))
    with here.daemon() as daemon:
        daemon.remove_watch(path)
    output.print_line(f"no longer watching {path}")


def inner_folder(folder: str) -> str:
    """As it was written, for the daemon to read; only what begins with `.` is meant from here."""
    folder = os.path.expanduser(folder)  # noqa: PTH111 - the daemon may run as another user
    return choices.absolute(folder) if folder.split("/")[0] in (".", "..") else folder
