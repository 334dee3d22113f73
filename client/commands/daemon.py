"""The verbs about the daemon: serve, status, health, restart, unload, pause, resume, logs, demo, mcp.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands import completion
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import exit_codes, output
from ipc import vocabulary
from ipc.program import program

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ipc.status_views import CanaryView, WorkerView

app = typer.Typer()
PANEL = "The daemon"


@app.command(
    rich_help_panel=PANEL,
    epilog="\nExamples:\n  steno serve\n  STENO_HOME=/tmp/try STENO_MODEL=starter steno serve",
)
def serve(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Write the log to its file only, not to this terminal.")
    ] = False,
) -> None:
    """Run the daemon here, in the foreground, until Ctrl-C."""
    import signal

    # What comes before the daemon listens waits for it: its Python needs a moment to start.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
    if sys.stderr.isatty():
        _announce()
    here.become(*here.SUPERVISOR, *(["--quiet"] if quiet else []))


def _announce() -> None:
    from client.terminal.errors import Refusal

    try:
        watched = [str(entry.path) for entry in here.settings().settings.watch]
    except Refusal:
        return  # the daemon itself says why it does not start
    home = str(Path.home())
    places = ", ".join(place.replace(home, "~", 1) if place.startswith(f"{home}/") else place for place in watched)
    output.say(f"stenod {here.version()}: watching {places or 'no folder'}. Ctrl-C stops it.")
    output.say(f"log: `steno logs -f` reads {here.places().log_file}")


@app.command(rich_help_panel=PANEL, epilog="\nExamples:\n  steno status\n  steno status --json | jq '.workers[].pid'")
def status(
    json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Live view, until Ctrl-C.")] = False,
) -> None:
    """Show workers, queue, running jobs and watched folders."""
    if watch and json:
        raise typer.BadParameter("--watch is for people; scripts may follow GET /v1/events")
    with here.daemon() as daemon:
        if watch:
            from client.views.live import LivePage

            LivePage(daemon, output.out()).run()
            return
        found = daemon.status()
    if json:
        output.print_json(found)
        return
    from client.views.status import status_page

    output.show(status_page(found, datetime.now(UTC)))


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno restart aligner")
def restart(role: vocabulary.Role, json: Json = False) -> None:
    """Restart a worker and reset its crash counter."""
    with here.daemon() as daemon:
        _tell(daemon.restart(role), json)


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno unload transcriber")
def unload(role: vocabulary.Role, json: Json = False) -> None:
    """Unload a worker when it is idle to free memory. It reloads with the next job."""
    with here.daemon() as daemon:
        _tell(daemon.unload(role), json)


def _tell(worker: "WorkerView", as_json: bool) -> None:
    _answer(worker, as_json, f"{worker.role} ({worker.engine}): {worker.state}")


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno pause && make-music; steno resume")
def pause(json: Json = False) -> None:
    """Pause the queue: running jobs finish, no new ones start. Also after a restart of the daemon."""
    with here.daemon() as daemon:
        queue = daemon.pause()
    _answer(queue, json, f"paused: {queue.running} still running, {queue.waiting} queued")


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno resume")
def resume(json: Json = False) -> None:
    """Resume the queue after `pause`."""
    with here.daemon() as daemon:
        queue = daemon.resume()
    _answer(queue, json, f"resumed: {queue.running} running, {queue.waiting} queued")


def _answer(found: "BaseModel", as_json: bool, words: str) -> None:
    if as_json:
        output.print_json(found)
    else:
        output.print_line(words)


@app.command(rich_help_panel=PANEL, epilog="\nExamples:\n  steno logs -f\n  steno logs --job 12 --json")
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines, counted from the end.")] = 50,
    job: Annotated[
        int | None,
        typer.Option("--job", metavar="ID", help="Only lines about this job.", autocompletion=completion.jobs),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The lines as they are in the file.")] = False,
) -> None:
    """Show the daemon's log."""
    from client.machine.log_file import LogLines
    from client.machine.log_lines import day_of, line_in_words
    from client.terminal.errors import Refusal

    log = LogLines(here.places().log_file, job)
    day = ""
    try:
        for line in chain(log.last(lines), log.follow() if follow else ()):
            if json:
                output.print_line(line, keep="\t")
                continue
            if (day_now := day_of(line) or day) != day:
                day = day_now
                output.print_text(f"— {day} —", "dim")
            output.print_text(line_in_words(line))
    except FileNotFoundError as missing:
        raise Refusal(
            "no_log", f"there is no log at {log.file}", "the daemon has never run here; `steno serve` starts it"
        ) from missing
    except KeyboardInterrupt:
        return


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  steno demo")
def demo() -> None:
    """Demonstrate transcription and crash recovery in a temporary folder. Takes about a minute."""
    here.become(*program("client.commands.demo"))


@app.command(rich_help_panel=PANEL, epilog="\nExamples:\n  steno health\n  steno health --fresh || steno logs")
def health(
    json: Json = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run a new self-test now; loads unloaded workers.")] = False,
) -> None:
    """Self-test: send a short clip through both workers. Exit code 1 if it fails."""
    with here.daemon() as daemon:
        found = daemon.health(fresh=fresh)
    if json:
        output.print_json(found)
    else:
        output.print_line("healthy" if found.healthy else "not healthy")
        output.print_line(f"transcriber: {found.transcriber}")
        output.print_line(f"aligner: {found.aligner or 'none (switched off)'}")
        if found.canary is not None:
            output.print_line(f"self-test: {_in_words(found.canary)}")
        for words in (*found.reasons, *found.warnings):
            output.print_line(f"note: {words}")
    raise typer.Exit(exit_codes.DONE if found.healthy else exit_codes.UNHEALTHY)


def _in_words(canary: "CanaryView") -> str:
    factor = canary.real_time_factor
    if factor is None:
        return canary.detail
    return f"{canary.detail}; {canary.audio_seconds:g} s of speech took {factor * canary.audio_seconds:.1f} s"


@app.command(rich_help_panel=PANEL, epilog="\nExample:\n  claude mcp add stenod -- steno mcp")
def mcp() -> None:
    """Serve agents over the Model Context Protocol on stdin and stdout; an agent's host starts it."""
    from client.mcp.tools import Tools
    from client.terminal.errors import Refusal

    try:
        from client.mcp.server import serve
    except ImportError as error:
        hint = "install it with `uv tool install 'stenod[mcp]'`, or `make setup` in a checkout"
        raise Refusal("no_mcp", f"the package mcp is not installed ({error.name})", hint) from error
    serve(Tools(here.daemon))
