"""The verb that asks for a proof: health.

Runs in: the user's shell. Libraries are imported inside the verb: `steno --help` must not wait for them.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.daemon import PANEL
from client.commands.jobs import Json
from client.daemon import here
from client.terminal import exit_codes
from client.terminal import output as terminal

if TYPE_CHECKING:
    from ipc.status_views import CanaryView

app = typer.Typer()


@app.command(rich_help_panel=PANEL, epilog="\nExamples:\n  steno health\n  steno health --fresh || steno logs")
def health(
    json: Json = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new proof; wakes workers that rest.")] = False,
) -> None:
    """Prove that a recording would come out: a short clip through both workers. Exit code 1 if not."""
    with here.daemon() as daemon:
        found = daemon.health(fresh=fresh)
    if json:
        terminal.print_json(found)
    else:
        terminal.print_line("healthy" if found.healthy else "not healthy")
        terminal.print_line(f"transcriber: {found.transcriber}")
        terminal.print_line(f"aligner: {found.aligner or 'none, on purpose'}")
        if found.canary is not None:
            terminal.print_line(f"canary: {_in_words(found.canary)}")
        for words in (*found.reasons, *found.warnings):
            terminal.print_line(f"note: {words}")
    raise typer.Exit(exit_codes.DONE if found.healthy else exit_codes.UNHEALTHY)


def _in_words(canary: "CanaryView") -> str:
    factor = canary.real_time_factor
    if factor is None:
        return canary.detail
    return f"{canary.detail}; {canary.audio_seconds:g} s of speech took {factor * canary.audio_seconds:.1f} s"
