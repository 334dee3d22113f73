"""The `steno` command: puts the verbs together and turns what went wrong into a sentence and an exit code.

Runs in: the user's shell.
"""

from client import interpreter

interpreter.leave_if_wrong()
# isort: split
import sys

import typer

from client import (
    bench_verb,
    completion_verb,
    config_verbs,
    daemon_verbs,
    exit_codes,
    health_verb,
    jobs_verbs,
    models_verbs,
    queue_verbs,
    service_verbs,
    terminal,
    transcribe_verb,
    watch_verbs,
)
from client.doctor_verb import app as doctor_app
from client.refusals import NoDaemon, Refusal

MACHINE = "This machine"

app = typer.Typer(
    help="Recordings in, words with times out, and no crash costs a recording.",
    epilog="STENO_HOME=DIR moves everything under DIR. Exit codes: 0 done · 1 not healthy · 2 usage · 3 degraded "
    "under --require-words · 4 failed · 5 cancelled · 69 no daemon",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(jobs_verbs.app)
app.add_typer(queue_verbs.app)
app.add_typer(transcribe_verb.app)
app.add_typer(watch_verbs.app, name="watch", rich_help_panel=jobs_verbs.PANEL)
app.add_typer(daemon_verbs.app)
app.add_typer(health_verb.app)
app.add_typer(service_verbs.app, name="service", rich_help_panel=MACHINE)
app.add_typer(doctor_app)
app.add_typer(bench_verb.app)
app.add_typer(config_verbs.app, name="config", rich_help_panel=MACHINE)
app.add_typer(models_verbs.app, name="models", rich_help_panel=MACHINE)
app.add_typer(completion_verb.app)


def main() -> None:
    """The console script."""
    try:
        app(prog_name="steno")
    except NoDaemon as nobody:
        terminal.say_error(nobody.message, nobody.hint)
        sys.exit(exit_codes.NO_DAEMON)
    except Refusal as refusal:
        terminal.say_error(refusal.message, refusal.hint)
        sys.exit(exit_codes.USAGE)
    except PermissionError as refused:
        terminal.say_error(f"{refused.filename}: {refused.strerror}", "`steno doctor` tells what is in the way")
        sys.exit(exit_codes.USAGE)


if __name__ == "__main__":
    main()
