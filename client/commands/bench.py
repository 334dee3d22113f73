"""The verb that measures this machine: bench.

Runs in: the user's shell. Libraries are imported inside the verb: `steno --help` must not wait for them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands import completion
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import choices, exit_codes, output

if TYPE_CHECKING:
    from client.bench.measure import Figures, NotMeasured

app = typer.Typer()
CLIP = Path(__file__).parents[1] / "recordings" / "talk.flac"
CLIP_LANGUAGE = "en"
AS_MEASURED = {
    # A fallback would be measured under the wrong name; a download or an unloaded worker would count as slow.
    "STENO_WORKERS_FALLBACK": "false",
    "STENO_ALLOW_DOWNLOAD": "false",
    "STENO_WORKERS_KEEP_ALIVE": "-1",
    "STENO_WORKERS_TRANSCRIBER_KEEP_ALIVE": "-1",
    "STENO_WORKERS_ALIGNER_KEEP_ALIVE": "-1",
}


@app.command(
    rich_help_panel="This machine",
    epilog="\nExamples:\n  steno bench\n  steno bench --model starter --model small --runs 9\n"
    "  steno bench --recording talk.m4a --markdown\n\n"
    "Exit codes: 0 measured · 2 refused · 4 no model could be measured",
)
def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to measure. Default: those of the settings. Repeatable.",
            autocompletion=completion.models,
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, max=99, help="Runs of each kind of job, after a first one as warm-up.")
    ] = 5,
    recording: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own recording instead of the starter clip.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table, for an issue or a forum.")
    ] = False,
    json: Json = False,
) -> None:
    """Benchmark this machine: transcription, alignment and end to end. Downloads nothing."""
    from client.bench.page import BenchView, bench_markdown, bench_page
    from client.machine.specs import this_machine

    if json and markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    if recording is not None and not recording.is_file():
        raise typer.BadParameter(f"--recording: {recording} is not a file")
    disturbance = _disturbance()
    if disturbance is not None:
        output.say(f"steno: {disturbance}")
    measured, missing = _measure_all(model, runs, recording)
    view = BenchView(
        machine=this_machine(),
        recording=(recording or CLIP).name,
        runs=runs,
        models=tuple(measured),
        not_measured=tuple(missing),
        disturbed_by=disturbance,
    )
    if json:
        output.print_json(view)
    elif markdown:
        print(bench_markdown(view))
    else:
        output.show(bench_page(view))
    if not measured:
        raise typer.Exit(exit_codes.FAILED)


def _measure_all(
    models: list[str] | None, runs: int, recording: Path | None
) -> "tuple[list[Figures], list[NotMeasured]]":
    from client.bench.measure import NotMeasured
    from client.terminal.errors import Refusal

    measured: list[Figures] = []
    missing = []
    try:
        for model in models or _models_of_owner():
            try:
                measured.append(_measure(model, runs, recording))
            except Refusal as refusal:
                why = f"{refusal.message}: {refusal.hint}" if refusal.hint else refusal.message
                output.say(f"steno: {model}: {why}")
                missing.append(NotMeasured(model=model, why=why))
    except KeyboardInterrupt:
        output.say("steno: stopped; nothing was kept")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    return measured, missing


def _measure(model: str, runs: int, recording: Path | None) -> "Figures":
    """On a daemon of its own, with the owner's settings and models. Raises Refusal."""
    from client.bench.measure import Bench
    from client.daemon.private import private_daemon

    wishes = {**AS_MEASURED, "STENO_MODEL": choices.model_named(model)}
    if recording is None:
        wishes["STENO_LANGUAGE"] = CLIP_LANGUAGE
    output.say(f"steno: {model}: loading")
    with private_daemon(wishes) as daemon:
        outputs = daemon.socket.parent.parent / "results"
        outputs.mkdir()
        return Bench(
            daemon=daemon,
            recording=(recording or CLIP).absolute(),
            outputs=outputs,
            language=CLIP_LANGUAGE if recording is None else None,
            runs=runs,
            tell=lambda what: output.say(f"steno: {what}"),
        ).measure(model)


def _models_of_owner() -> list[str]:
    """What the settings and the watched folders transcribe with."""
    import sys

    from config.engines import models_needed, resolve_engines

    settings = here.settings().settings
    choice = resolve_engines(settings, sys.platform)
    needed = models_needed(settings, choice)
    names = dict.fromkeys(one.name for one in needed if one.use == "transcriber")
    # A custom engine decides itself what it loads.
    return list(names) or [settings.model or choice.transcriber]


def _disturbance() -> str | None:
    """What the owner's own daemon does to the figures; None: it is not running."""
    from client.terminal.errors import NoDaemon, Refusal

    try:
        with here.daemon() as daemon:
            queue = daemon.status().queue
    except (NoDaemon, Refusal):
        return None
    if queue.running:
        return "Your daemon is transcribing, which slows this benchmark; `steno pause` stops it."
    return "Another stenod daemon is running and may distort the results."
