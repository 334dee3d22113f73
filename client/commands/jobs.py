"""The verbs about recordings: submit, jobs, show, wait, cancel, retry.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands import completion, flags
from client.daemon import here
from client.terminal import choices, exit_codes, output
from ipc import vocabulary

if TYPE_CHECKING:
    from ipc.api_messages import JobView

app = typer.Typer()
PANEL = "Recordings"

Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON on stdout.")]
IDS_HELP = "Job IDs, as listed by `steno jobs`."
Ids = Annotated[
    list[int],
    typer.Argument(metavar="ID", help=IDS_HELP, min=1, autocompletion=completion.unfinished_jobs),
]
RetryableIds = Annotated[
    list[int],
    typer.Argument(metavar="ID", help=IDS_HELP, min=1, autocompletion=completion.retryable_jobs),
]
RequireWords = Annotated[
    bool, typer.Option("--require-words", help="Exit with code 3 if a finished job has no word times.")
]


@app.command(
    rich_help_panel=PANEL,
    epilog="\nExamples:\n  steno submit talk.m4a\n  steno submit *.wav --wait -f srt,json\n"
    "  steno submit interview.mp3 --wait --json --language de --require-words\n\n"
    "Exit codes: 0 done · 2 refused · 3 degraded under --require-words · 4 failed · 5 cancelled · 69 no daemon",
)
def submit(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Recordings: audio or video.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs are finished.")] = False,
    json: Json = False,
    language: flags.Language = None,
    task: flags.Task = None,
    workflow: flags.Workflow = None,
    prompt: flags.Prompt = None,
    replacements: flags.Replacements = None,
    model: flags.Model = None,
    formats: flags.Formats = None,
    output_dir: Annotated[str | None, flags.output_dir(choices.absolute, *flags.OUTPUT_DIR)] = None,
    output_name: flags.OutputName = None,
    if_exists: flags.IfExists = None,
    highlight_words: flags.HighlightWords = None,
    track: flags.Track = None,
    priority: flags.Priority = None,
    require_words: RequireWords = False,
) -> None:
    """Queue recordings for transcription and print their job IDs."""
    from client.following.submit import hand_over, options_of

    if require_words and workflow == "transcribe":
        raise typer.BadParameter("--require-words contradicts --workflow transcribe")
    options = options_of(context.params, workflow or ("subtitle" if require_words else None))
    with here.daemon() as daemon:
        codes, job_ids = [exit_codes.DONE], []
        for path, job in hand_over(daemon, files, options, json):
            if job is None:
                codes.append(exit_codes.USAGE)
                continue
            job_ids.append(job.id)
            if not wait and json:
                output.print_json(job)
            elif not wait:
                output.print_line(str(job.id) if len(files) == 1 else f"{job.id}  {path}")
        if wait and job_ids:
            from client.following.wait import see_through, show_finished

            waited = see_through(daemon, job_ids, require_words=require_words, finished=show_finished(json))
            codes.append(waited)
    leave_with(codes)


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno wait 12 13 && open talk.srt")
def wait(ids: Ids, json: Json = False, require_words: RequireWords = False) -> None:
    """Wait until these jobs are finished. Exit codes as for submit --wait."""
    from client.following.wait import see_through, show_finished

    with here.daemon() as daemon:
        leave_with([see_through(daemon, ids, require_words=require_words, finished=show_finished(json))])


@app.command(rich_help_panel=PANEL, epilog="\nExamples:\n  steno jobs\n  steno jobs --status failed --json")
def jobs(
    status: Annotated[
        vocabulary.JobStatus | None,
        typer.Option(
            metavar="STATUS",
            help="Only jobs with this status: waiting, transcribing, aligning, writing, done, failed or cancelled.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Maximum number of jobs.")] = 30,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    from client.views.tables import jobs_table

    with here.daemon() as daemon:
        found = daemon.jobs(status, limit)
    if json:
        output.print_json_array(found)
    else:
        output.show(jobs_table(found, datetime.now(UTC)))


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno show 12")
def show(
    id: Annotated[int, typer.Argument(metavar="ID", autocompletion=completion.jobs)], json: Json = False
) -> None:
    """Show one job in detail, with every attempt and crash."""
    from client.views.job import job_page

    with here.daemon() as daemon:
        job = daemon.job(id)
    if json:
        output.print_json(job)
    else:
        output.show(job_page(job, datetime.now(UTC)))


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno cancel 12 13")
def cancel(ids: Ids, json: Json = False) -> None:
    """Cancel waiting or running jobs."""
    with here.daemon() as daemon:
        leave_with([each(ids, daemon.cancel, "cancelled", json)])


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno retry 12")
def retry(ids: RetryableIds, json: Json = False) -> None:
    """Requeue failed or cancelled jobs and reset their crash counts."""
    with here.daemon() as daemon:
        leave_with([each(ids, daemon.retry, "queued again", json)])


def each(ids: list[int], ask: "Callable[[int], JobView | None]", done: str, json: bool) -> int:
    """The exit code of the same request for several jobs; one that is refused stops none of the others."""
    from client.terminal.errors import Refusal

    code = exit_codes.DONE
    for job_id in ids:
        try:
            job = ask(job_id)
        except Refusal as refusal:
            output.print_error(refusal, json, id=job_id)
            code = exit_codes.USAGE
            continue
        if not json:
            output.print_line(f"job {job_id} {done}" + (f": {job.path}" if job is not None else ""))
        elif job is not None:
            output.print_json(job)
        else:
            output.print_data({"id": job_id, done: True})
    return code


def leave_with(codes: list[int]) -> None:
    """End the command with the worst of these codes; 130 is above all."""
    code = exit_codes.INTERRUPTED if exit_codes.INTERRUPTED in codes else exit_codes.worst(codes)
    if code != exit_codes.DONE:
        raise typer.Exit(code)
