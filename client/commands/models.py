"""The verbs about models: list, pull, remove.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.flags import read_by
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import exit_codes, output
from config.model_names import ModelEngine, language_code

if TYPE_CHECKING:
    from ipc.model_messages import ModelRefusal, PullResult, Removal
    from ipc.status_views import WorkerView

EngineOption = Annotated[ModelEngine | None, typer.Option(help="For which engine, if both know the name.")]

MISTAKEN = frozenset({"unknown_model", "no_such_model", "not_a_model", "not_here", "not_ours", "in_use"})
"""Codes of refusals that no second try helps."""

ABOUT_THE_MODEL = frozenset({"needs_model", "model_damaged", "unknown_model"})
"""Codes of refusals that a fetched model may end. The note for people does not tell them apart."""

app = typer.Typer(invoke_without_command=True, help="Manage models: list, fetch and remove.")


@app.callback(epilog="\nExamples:\n  steno models\n  steno models pull --lang en,de\n  steno models list --json")
def models(context: typer.Context, json: Json = False) -> None:
    """Manage models; without a subcommand, list them."""
    if context.invoked_subcommand is None:
        models_list(json)


@app.command("list", epilog="\nExample:\n  steno models list --json")
def models_list(json: Json = False) -> None:
    """List the models on this machine, those the settings need, and all known names."""
    from client.machine.model_manager import model_manager_lines
    from ipc.model_messages import ModelList

    [line] = model_manager_lines("list")
    listing = ModelList.model_validate_json(line)
    if json:
        output.print_json(listing)
        return
    from client.views.models import model_table

    output.show(model_table(listing))


def _codes(languages: str) -> str:
    """`German,en` → `de,en`. Raises ValueError."""
    codes = (language_code(part.strip()) for part in languages.split(",") if part.strip())
    return ",".join(code for code in codes if code is not None)


@app.command(
    "pull",
    epilog="\nExamples:\n  steno models pull\n  steno models pull large-v3-turbo\n"
    "  steno models pull --lang en,de\n\n"
    "If interrupted, the same command continues. Exit codes: 0 all there · 2 no such model · 4 not fetched",
)
def models_pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names or hub IDs. Default: all that the settings need."),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="xx,yy",
            help="All models for these languages: transcriber, fallback, aligners.",
            callback=read_by(_codes),
        ),
    ] = None,
    engine: EngineOption = None,
    json: Json = False,
) -> None:
    """Fetch models and verify them, so that the workers never need the network."""
    words = ["pull", *(("--engine", engine) if engine else ()), *(("--lang", lang) if lang else ())]
    try:
        result = _pull([*words, "--", *(names or ())], as_json=json)
    except KeyboardInterrupt:
        output.say("stopped; the same command continues from here")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    if result.here:
        _wake_waiting_workers()
    if json:
        output.print_json(result)
    raise typer.Exit(_exit_code(result.refused))


def _pull(words: list[str], *, as_json: bool) -> "PullResult":
    from client.machine.model_manager import model_manager_lines
    from client.views.models import FetchBars, here_line
    from ipc.model_messages import MODEL_MESSAGE, FileProgress, ModelInstalled, ModelRefusal, Notice, PullResult

    fetched: list[ModelInstalled] = []
    refused: list[ModelRefusal] = []
    notes: list[str] = []
    with closing(model_manager_lines(*words)) as lines, FetchBars(output.err()) as bars:
        for line in lines:
            match MODEL_MESSAGE.validate_json(line):
                case FileProgress() as file:
                    bars.moves(file)
                case Notice(text=text):
                    notes.append(text)
                    output.say(text)
                case ModelInstalled() as model:
                    bars.ends(model.name)
                    fetched.append(model)
                    if not as_json:
                        output.show(here_line(model))
                case ModelRefusal() as refusal:
                    bars.ends(refusal.name)
                    refused.append(refusal)
                    output.say_error(f"{refusal.name}: {refusal.message}", refusal.hint)
                case _:
                    pass
    return PullResult(here=tuple(fetched), refused=tuple(refused), notes=tuple(notes))


def _wake_waiting_workers() -> None:
    """Workers that could not load for lack of a model retry now. Without a daemon none waits."""
    from client.terminal.errors import NoDaemon, Refusal

    with here.daemon() as daemon, suppress(NoDaemon, Refusal):  # it retries on its own before long
        for worker in daemon.status().workers:
            if waits_for_model(worker):
                daemon.restart(worker.role)
                output.say(f"the {worker.role} was waiting for a model and is loading it")


def waits_for_model(worker: "WorkerView") -> bool:
    """Whether it refused to load because of its model, rather than crashed."""
    return worker.state == "broken" and worker.refusal in ABOUT_THE_MODEL


def _exit_code(refused: "tuple[ModelRefusal, ...]") -> int:
    return exit_codes.worst(
        exit_codes.USAGE if refusal.code in MISTAKEN else exit_codes.FAILED for refusal in refused
    )


@app.command("remove", epilog="\nExamples:\n  steno models remove medium\n  steno models remove medium --yes")
def models_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As listed by `steno models list`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a model that the settings use.")] = False,
    engine: EngineOption = None,
    json: Json = False,
) -> None:
    """Delete a model that stenod fetched or converted, never a folder of yours."""
    from client.terminal.errors import Refusal
    from client.views.models import removal_text

    words = ("remove", *(("--engine", engine) if engine else ()))
    plan = _removal(*words, "--", name)
    if plan.used_as and not force:
        raise Refusal("in_use", f"the settings use {name} as {', '.join(plan.used_as)}", "--force removes it anyway")
    if not yes:
        if not sys.stdin.isatty():
            raise Refusal("not_asked", "there is no terminal for the question", "add --yes")
        output.err().print(removal_text(plan))
        if not typer.confirm("Remove it?", err=True):
            raise typer.Exit(exit_codes.CANCELLED)
    done = _removal(*words, "--yes", "--", name)
    if json:
        output.print_json(done)
    else:
        output.show(removal_text(done))


def _removal(*words: str) -> "Removal":
    from client.machine.model_manager import model_manager_lines
    from client.terminal.errors import Refusal
    from ipc.model_messages import MODEL_MESSAGE, ModelRefusal, Removal

    [line] = model_manager_lines(*words)
    match MODEL_MESSAGE.validate_json(line):
        case Removal() as removal:
            return removal
        case ModelRefusal() as refusal:
            raise Refusal(refusal.code, refusal.message, refusal.hint)
        case other:
            raise Refusal("not_understood", f"an unexpected answer: {other.kind}", "is this one installation?")
