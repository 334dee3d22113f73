"""The `steno` command: puts the verbs together and turns what went wrong into a sentence and an exit code.

Runs in: the user's shell.
"""

from client.terminal import python_check as interpreter

interpreter.leave_if_wrong()
# isort: split
import sys

import typer

from client.commands import bench as bench_verb
from client.commands import completion_command as completion_verb
from client.commands import config as config_verbs
from client.commands import daemon as daemon_verbs
from client.commands import health as health_verb
from client.commands import jobs as jobs_verbs
from client.commands import models as models_verbs
from client.commands import queue as queue_verbs
from client.commands import service as service_verbs
from client.commands import transcribe as transcribe_verb
from client.commands import watch as watch_verbs
from client.commands.doctor import app as doctor_app
from client.terminal import exit_codes
from client.terminal import output as terminal
from client.terminal.errors import NoDaemon, Refusal

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
