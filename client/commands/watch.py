"""The verbs about watched folders: watch list, add, remove.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import os
from typing import Annotated, Any

import typer

from client.commands import completion, flags
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import choices, output

app = typer.Typer(
    no_args_is_help=True, help="Manage watched folders: new recordings in them are transcribed automatically."
)
NAMES, AFTERWARDS = "Which recordings", "Afterwards"
Folder = Annotated[str, typer.Argument(metavar="DIR", callback=choices.absolute)]
INCLUDE = "Only names like *.m4a or meetings/*. Repeatable. *.xyz adds a new kind of recording."
POLLING = "Scan at intervals instead of using file events. Default: on network disks."
Patterns = list[str] | None


def inner_folder(folder: str) -> str:
    """As it was written, for the daemon to read; only what begins with `.` is meant from here."""
    folder = os.path.expanduser(folder)  # noqa: PTH111 - the daemon may run as another user
    return choices.absolute(folder) if folder.split("/")[0] in (".", "..") else folder


def _after(help: str) -> Any:
    return flags.flag(help, metavar="DIR", read=inner_folder, panel=AFTERWARDS)


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
    context: typer.Context,
    folder: Folder,
    recursive: Annotated[bool, flags.flag("Include subfolders.", "--recursive", "-r", panel=NAMES)] = False,
    include: Annotated[Patterns, flags.flag(INCLUDE, metavar="PATTERN", panel=NAMES)] = None,
    exclude: Annotated[
        Patterns, flags.flag("Skip names like this. Repeatable.", metavar="PATTERN", panel=NAMES)
    ] = None,
    polling: Annotated[bool | None, flags.flag(POLLING, "--polling/--no-polling", panel=NAMES)] = None,
    language: flags.Language = None,
    task: flags.Task = None,
    workflow: flags.Workflow = None,
    prompt: flags.Prompt = None,
    replacements: flags.Replacements = None,
    model: flags.Model = None,
    formats: flags.Formats = None,
    output_dir: Annotated[str | None, flags.output_dir(inner_folder, *flags.OUTPUT_DIR)] = None,
    output_name: flags.OutputName = None,
    if_exists: flags.IfExists = None,
    highlight_words: flags.HighlightWords = None,
    track: flags.Track = None,
    priority: flags.Priority = None,
    done: Annotated[str | None, _after("Move recordings here once their files are written.")] = None,
    failed: Annotated[str | None, _after("Move recordings here if their job failed.")] = None,
    json: Json = False,
) -> None:
    """Watch a folder, also after a restart, until `steno watch remove`.

    The folders of -o, --done and --failed are relative to DIR unless they begin with / or ~ or ./
    """
    from client.following.submit import options_of

    with here.daemon() as daemon:
        found = daemon.add_watch(
            folder,
            recursive=recursive,
            include=include or (),
            exclude=exclude or (),
            polling=polling,
            done=done,
            failed=failed,
            options=options_of(context.params, workflow),
        )
    if json:
        output.print_json(found)
        return
    from client.views.watches import watch_page

    output.show(watch_page([found]))


@app.command("remove", epilog="\nExample:\n  steno watch remove ~/Recordings")
def watch_remove(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", callback=choices.absolute, autocompletion=completion.watched_folders)
    ],
) -> None:
    """Stop watching a folder. Its jobs continue."""
    with here.daemon() as daemon:
        daemon.remove_watch(folder)
    output.print_line(f"no longer watching {folder}")
