"""The verbs about the queue itself: backup, restore, check, forget.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

from pathlib import Path
from typing import Annotated

import typer

from client.commands import completion
from client.commands.jobs import IDS_HELP, PANEL, Json, leave_with
from client.daemon import here
from client.terminal import exit_codes, output

app = typer.Typer()
MACHINE = "This machine"
MARKS = {"ok": "note", "warning": "warning", "broken": "broken"}

FinishedIds = Annotated[
    list[int],
    typer.Argument(metavar="ID", help=IDS_HELP, min=1, autocompletion=completion.finished_jobs),
]


@app.command(rich_help_panel=MACHINE, epilog="\nExample:\n  steno backup ~/Backups/steno.sqlite3")
def backup(
    file: Annotated[Path, typer.Argument(help="Replaced if it is an older backup.")], json: Json = False
) -> None:
    """Copy the queue into one file: jobs, texts, what was seen and written. The daemon may run meanwhile."""
    from client.machine.queue_tool import answer_of

    place = file.expanduser().absolute()
    found = answer_of("backup", str(place))
    if json:
        output.print_data(found)
    else:
        output.print_line(f"{place}: {found['jobs']} jobs, {found['size_bytes'] / 1e6:.1f} MB, checked")


@app.command(
    rich_help_panel=MACHINE,
    epilog="\nExample:\n  steno service uninstall && steno restore ~/Backups/steno.sqlite3 && steno service install",
)
def restore(
    file: Annotated[Path, typer.Argument(help="What `steno backup` made, or a copy that stenod kept.")],
    json: Json = False,
) -> None:
    """Put a backup in the queue's place; the one in use until now is kept beside it. Needs a stopped daemon."""
    from client.machine.queue_tool import answer_of

    place = file.expanduser().absolute()
    found = answer_of("restore", str(place))
    if json:
        output.print_data(found)
        return
    output.print_line(f"restored: {found['jobs']} jobs, as they were in {place}")
    if found["set_aside"] is not None:
        output.print_line(f"what was here until now: {found['set_aside']}")
    output.say("note: jobs that ran since then may run again; results that are there already are taken as they are")


@app.command(
    rich_help_panel=MACHINE,
    epilog="\nExamples:\n  steno check\n  steno check --repair\n\n"
    "Exit codes: 0 all is as stored, or was fixed · 1 something is not",
)
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Fix what can be fixed; no file of yours is touched.")
    ] = False,
    json: Json = False,
) -> None:
    """Hold what is stored against what is there: results, follow-ups, counts, spool, what was seen."""
    from client.machine.queue_tool import checked

    found = checked(repair)
    if json:
        output.print_json(found)
    else:
        for one in found.irregularities:
            output.print_line(f"{'fixed' if one.repaired else MARKS[one.state]}: {one.what}")
            if one.remedy:
                output.print_line(f"    {one.remedy}")
        held = "all is as stored" if found.is_whole else "not all is as stored"
        output.print_line(f"{found.jobs} jobs, {found.results} results: {held}")
    if not found.is_whole:
        raise typer.Exit(exit_codes.UNHEALTHY)


@app.command(
    rich_help_panel=PANEL,
    epilog="\nExample:\n  steno forget 12 13\n\nThe files that were written stay, and so does the hash by which a "
    "watched folder knows the recording: it is not transcribed again. Backups that you made keep what they have.",
)
def forget(ids: FinishedIds, json: Json = False) -> None:
    """Forget jobs that are over: their story and text are overwritten in the queue."""
    from client.terminal.errors import Refusal

    codes = [exit_codes.DONE]
    with here.daemon() as daemon:
        for job_id in ids:
            try:
                daemon.forget(job_id)
            except Refusal as refusal:
                output.print_error(refusal, json, id=job_id)
                codes.append(exit_codes.USAGE)
                continue
            if json:
                output.print_data({"id": job_id, "forgotten": True})
            else:
                output.print_line(f"job {job_id} is forgotten")
    leave_with(codes)
