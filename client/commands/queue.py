"""The verbs about the queue itself: backup, restore, check, forget.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

from pathlib import Path
from typing import Annotated

import typer

from client.commands import completion
from client.commands.jobs import IDS_HELP, PANEL, Json, each, leave_with
from client.daemon import here
from client.terminal import exit_codes, output
from client.terminal.wording import counted

app = typer.Typer()
MACHINE = "This machine"
MARKS = {"ok": "note", "warning": "warning", "broken": "broken"}

FinishedIds = Annotated[
    list[int],
    typer.Argument(metavar="ID", help=IDS_HELP, min=1, autocompletion=completion.finished_jobs),
]


@app.command(rich_help_panel=MACHINE, epilog="\nExample:\n  steno backup ~/Backups/steno.sqlite3")
def backup(
    file: Annotated[Path, typer.Argument(help="The backup file; an older backup is replaced.")], json: Json = False
) -> None:
    """Back up the queue to one file: jobs, texts, seen and written files. The daemon may keep running."""
    from client.machine.queue_tool import answer_of

    place = file.expanduser().absolute()
    found = answer_of("backup", str(place))
    if json:
        output.print_data(found)
    else:
        output.print_line(f"{place}: {counted(found['jobs'], 'job')}, {found['size_bytes'] / 1e6:.1f} MB, checked")


@app.command(
    rich_help_panel=MACHINE,
    epilog="\nExample:\n  steno service uninstall && steno restore ~/Backups/steno.sqlite3 && steno service install",
)
def restore(
    file: Annotated[Path, typer.Argument(help="A file from `steno backup`, or a copy that stenod kept.")],
    json: Json = False,
) -> None:
    """Restore the queue from a backup; the current queue is kept beside it. Stop the daemon first."""
    from client.machine.queue_tool import answer_of

    place = file.expanduser().absolute()
    found = answer_of("restore", str(place))
    if json:
        output.print_data(found)
        return
    output.print_line(f"restored: {counted(found['jobs'], 'job')} from {place}")
    if found["set_aside"] is not None:
        output.print_line(f"previous queue: {found['set_aside']}")
    output.say("note: jobs that finished after that backup may run again; existing results are kept as they are")


@app.command(
    rich_help_panel=MACHINE,
    epilog="\nExamples:\n  steno check\n  steno check --repair\n\n"
    "Exit codes: 0 no problem, or all fixed · 1 problems remain",
)
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Fix what can be fixed. None of your files is touched.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare the queue with the disk: results, follow-ups, counts, spool, seen files."""
    from client.machine.queue_tool import checked

    found = checked(repair)
    if json:
        output.print_json(found)
    else:
        for one in found.irregularities:
            output.print_line(f"{'fixed' if one.repaired else MARKS[one.state]}: {one.what}")
            if one.remedy:
                output.print_line(f"    {one.remedy}")
        held = "no problem" if found.is_whole else "problems remain"
        output.print_line(f"{counted(found.jobs, 'job')}, {counted(found.results, 'result')}: {held}")
    if not found.is_whole:
        raise typer.Exit(exit_codes.UNHEALTHY)


@app.command(
    rich_help_panel=PANEL,
    epilog="\nExample:\n  steno forget 12 13\n\nOutput files stay, and so does the hash by which a watched folder "
    "recognises the recording: it is not transcribed again. Backups that you made still contain the jobs.",
)
def forget(ids: FinishedIds, json: Json = False) -> None:
    """Delete finished jobs from the queue: their history and text are overwritten."""
    with here.daemon() as daemon:
        leave_with([each(ids, daemon.forget, "forgotten", json)])
