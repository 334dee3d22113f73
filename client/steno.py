"""The `steno` command: puts the verbs together and turns what went wrong into a sentence and an exit code.

Runs in: the user's shell.
"""

from client.terminal import python_check

python_check.leave_if_wrong()
# isort: split
import sys

import typer

from client.commands import bench, completion, config, daemon, doctor, jobs, models, queue, service, transcribe, watch
from client.terminal import exit_codes, output
from client.terminal.errors import NoDaemon, Refusal

MACHINE = "This machine"

app = typer.Typer(
    help="Transcribes recordings with word-level timestamps, and survives crashes without losing a job.",
    epilog="STENO_HOME=DIR moves everything under DIR. Exit codes: 0 done · 1 not healthy · 2 usage · 3 degraded "
    "under --require-words · 4 failed · 5 cancelled · 69 no daemon",
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
app.add_typer(completion.app)


def main() -> None:
    """The console script."""
    try:
        app(prog_name="steno")
    except NoDaemon as absent:
        output.say_error(absent.message, absent.hint)
        sys.exit(exit_codes.NO_DAEMON)
    except Refusal as refusal:
        output.say_error(refusal.message, refusal.hint)
        sys.exit(exit_codes.USAGE)
    except PermissionError as refused:
        output.say_error(f"{refused.filename}: {refused.strerror}", "`steno doctor` tells what is in the way")
        sys.exit(exit_codes.USAGE)


if __name__ == "__main__":
    main()
