"""The `steno` command: puts the verbs together and turns what went wrong into a sentence and an exit code.

Runs in: the user's shell.
"""

from client.terminal import python_check

python_check.leave_if_wrong()
# isort: split
import sys
from typing import Annotated, Any, Never

import typer
from typer.core import TyperArgument, TyperOption

from client.commands import (
    bench,
    completion,
    config,
    daemon,
    doctor,
    jobs,
    models,
    queue,
    service,
    transcribe,
    watch,
)
from client.daemon import here
from client.terminal import exit_codes, output
from client.terminal.errors import NoDaemon, Refusal
from client.terminal.streams import STDOUT, with_streams
from ipc.errors import StenodError

MACHINE = "This machine"

app = typer.Typer(
    help="Transcribes recordings with word-level timestamps, and survives crashes without losing a job.",
    epilog="STENO_HOME=DIR moves everything under DIR. Exit codes: 0 done · 1 not healthy · 2 usage · 3 degraded "
    "under --require-words · 4 failed · 5 cancelled · 69 no daemon · 74 the output could not be written",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(jobs.app)
app.add_typer(queue.app)
app.add_typer(transcribe.app)
app.add_typer(watch.app, name="watch", rich_help_panel=jobs.PANEL)
app.add_typer(daemon.app)
app.add_typer(service.app, name="service", rich_help_panel=MACHINE)
app.add_typer(doctor.app)
app.add_typer(bench.app)
app.add_typer(config.app, name="config", rich_help_panel=MACHINE)
app.add_typer(models.app, name="models", rich_help_panel=MACHINE)
app.add_typer(config.http, name="http", rich_help_panel=MACHINE)
app.add_typer(completion.app)


def _show_version(asked: bool) -> None:
    if asked:
        output.print_line(f"stenod {here.version()}")
        raise typer.Exit


@app.callback()
def _steno(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _type_of_option(option: Any, ctx: Any) -> str | None:
    return None if option.is_flag else TYPE_OF_OPTION(option, ctx)


def _type_of_argument(argument: Any, ctx: Any) -> str | None:
    return TYPE_OF_ARGUMENT(argument, ctx) if argument.type_descriptor.is_choice else None


# Typer would put `<bool>` behind every switch, and `<list[str]>` behind FILE.
TYPE_OF_OPTION, TYPE_OF_ARGUMENT = TyperOption.display_type_rich, TyperArgument.display_type_rich
TyperOption.display_type_rich = _type_of_option  # type: ignore[method-assign, assignment]
TyperArgument.display_type_rich = _type_of_argument  # type: ignore[method-assign, assignment]


def main() -> None:
    """The console script."""
    with_streams(_run)


def _run() -> None:
    try:
        app(prog_name="steno")
    except NoDaemon as absent:
        _leave(absent, exit_codes.NO_DAEMON)
    except Refusal as refusal:
        _leave(refusal, exit_codes.USAGE)
    except OSError as error:
        if error.filename == STDOUT:
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _leave(Refusal("os_error", what, "`steno doctor` shows what is in the way"), exit_codes.USAGE)


def _leave(error: StenodError, exit_code: int) -> Never:
    output.print_error(error, as_json="--json" in sys.argv)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
