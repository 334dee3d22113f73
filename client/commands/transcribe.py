"""`steno transcribe`: whisper's command, with or without a daemon.

Runs in: the user's shell. Libraries are imported inside the verb: `steno --help` must not wait for them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.commands import flags
from client.commands.jobs import Json, RequireWords, leave_with
from client.daemon import here
from client.terminal import choices, exit_codes, output
from ipc import vocabulary

if TYPE_CHECKING:
    from client.daemon.connection import DaemonClient
    from ipc.api_messages import JobOptions, JobView
    from ipc.status_views import StatusView

app = typer.Typer()


def _switch(name: str, help: str, **more: Any) -> Any:
    """One of whisper's switches, in both spellings, said as it says them: `--word_timestamps True`."""
    return typer.Option(f"--{name}", f"--{name.replace('_', '-')}", help=help, case_sensitive=False, **more)


@app.command(
    rich_help_panel="Recordings",
    epilog="\nExamples:\n  steno transcribe talk.m4a\n"
    "  steno transcribe a.wav b.wav --model small --language English --output_format srt -o subtitles\n"
    "  steno transcribe talk.m4a --no_align --verbose False\n\n"
    "Exit codes: 0 done · 2 refused · 3 degraded under --require-words · 4 failed · 5 cancelled",
)
def transcribe(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Recordings: audio or video.")],
    model: flags.Model = None,
    language: flags.Language = None,
    task: flags.Task = None,
    prompt: Annotated[str | None, flags.prompt("--initial_prompt", "--initial-prompt", "--prompt")] = None,
    formats: Annotated[str | None, flags.formats("--output_format", "--output-format", "-f")] = None,
    output_dir: Annotated[
        str | None, flags.output_dir(choices.absolute, "--output_dir", "--output-dir", "-o")
    ] = None,
    word_timestamps: Annotated[
        choices.TrueOrFalse | None, _switch("word_timestamps", "False: no word times.")
    ] = None,
    highlight_words: Annotated[
        choices.TrueOrFalse | None,
        _switch(
            "highlight_words",
            flags.HIGHLIGHT,
            callback=flags.read_by(lambda text: text == "True"),
        ),
    ] = None,
    track: flags.Track = None,
    priority: flags.Priority = None,
    no_align: Annotated[
        bool, typer.Option("--no_align", "--no-align", help="Same as --word_timestamps False.")
    ] = False,
    align_model: Annotated[
        str | None, typer.Option("--align_model", "--align-model", help="Alignment model.")
    ] = None,
    verbose: Annotated[choices.TrueOrFalse, _switch("verbose", "False: do not print the text.")] = "True",
    condition_on_previous_text: Annotated[
        choices.TrueOrFalse | None,
        _switch(
            "condition_on_previous_text", "Only False is supported: True makes the text repeat itself in silence."
        ),
    ] = None,
    require_words: RequireWords = False,
    json: Json = False,
) -> None:
    """Transcribe files and wait. Uses the running daemon if it fits, otherwise a temporary one."""
    from client.following.submit import options_of

    if condition_on_previous_text == "True":
        output.say(
            "steno: --condition_on_previous_text True is not supported: it makes the text repeat itself in silence"
        )
    without_words = no_align or word_timestamps == "False"
    if require_words and without_words:
        raise typer.BadParameter("--require-words contradicts --no_align and --word_timestamps False")
    workflow: vocabulary.Workflow | None = "transcribe" if without_words else None
    if not without_words and (word_timestamps or require_words):
        workflow = "subtitle"
    options = options_of(context.params, workflow)
    wishes = {"STENO_MODEL": options.model, "STENO_ALIGNMENT_MODEL": align_model}
    try:
        with _some_daemon({name: wish for name, wish in wishes.items() if wish}) as (daemon, is_private):
            codes = _transcribe(daemon, is_private, files, options, verbose == "True", json, require_words)
    except KeyboardInterrupt:
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    leave_with(codes)


@contextmanager
def _some_daemon(wishes: Mapping[str, str]) -> "Iterator[tuple[DaemonClient, bool]]":
    """The owner's daemon if it answers and can do as wished, else a private one; and whether it is private."""
    from client.daemon.private import private_daemon
    from client.terminal.errors import NoDaemon

    with here.daemon() as running:
        try:
            fits = can_do(running.status(), wishes)
        except NoDaemon:
            fits = False
        if fits:
            yield running, False
            return
    with private_daemon(wishes, remembers_files=True) as daemon:
        yield daemon, True


def can_do(status: "StatusView", wishes: Mapping[str, str]) -> bool:
    """Whether a daemon does for one job what is wished for: any transcriber's model, but only its own aligner's."""
    aligner = next((worker.model for worker in status.workers if worker.role == "aligner"), None)
    return wishes.get("STENO_ALIGNMENT_MODEL") in (None, aligner)


def _transcribe(
    daemon: "DaemonClient",
    is_private: bool,
    files: "list[str]",
    options: "JobOptions",
    with_text: bool,
    json: bool,
    require_words: bool,
) -> list[int]:
    from client.daemon.private import FailIfTranscriberGivesUp
    from client.following.submit import hand_over
    from client.following.wait import see_through, show_finished

    tell = show_finished(json)

    def finished(job: "JobView") -> None:
        tell(job)
        if with_text and not json and job.status == "done" and output.out().is_terminal:
            print(output.visible(daemon.transcript(job.id, "txt"), keep="\n\t").rstrip("\n"))

    codes, job_ids = [exit_codes.DONE], []
    for _, job in hand_over(daemon, files, options, json):
        if job is None:
            codes.append(exit_codes.USAGE)
        else:
            job_ids.append(job.id)
    if job_ids:
        # The owner's daemon may be fixed while we wait; a private one has no owner who would.
        heard = FailIfTranscriberGivesUp(daemon) if is_private else lambda event: None
        codes.append(see_through(daemon, job_ids, require_words=require_words, finished=finished, also_heard=heard))
    return codes
