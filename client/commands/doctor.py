"""The verb doctor: checks everything stenod depends on, and says what is wrong with it.

Runs in: the user's shell. Libraries are imported inside the verb: `steno --help` must not wait for them. Stands
alone: one file a family of verbs.
"""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.jobs import Json
from client.terminal import exit_codes, output

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer()


@app.command(
    rich_help_panel="This machine",
    epilog="\nExamples:\n  steno doctor\n  steno doctor -v\n"
    "  steno doctor --json | jq '.findings[] | select(.state == \"broken\")'\n\n"
    "Exit codes: 0 no check failed · 1 a check failed",
)
def doctor(
    json: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Why each thing matters, and its name for scripts.")
    ] = False,
) -> None:
    """Check everything stenod depends on: what is wrong, why it matters, how to fix it."""
    from client.doctor.page import doctor_page
    from client.doctor.run import examine

    with output.err().status("starting the checks …") as progress:

        def tell(still_running: "Sequence[str]") -> None:
            progress.update(f"checking {', '.join(still_running).replace('_', ' ')} …")

        try:
            examined = examine(dict(os.environ), tell)
        except KeyboardInterrupt:
            raise typer.Exit(exit_codes.INTERRUPTED) from None
    findings = [finding for outcome in examined for finding in outcome.findings]
    is_healthy = all(finding.state != "broken" for finding in findings)
    if json:
        told = [finding.model_dump(mode="json") for finding in findings]
        output.print_data({"healthy": is_healthy, "findings": told})
    else:
        output.show(doctor_page(examined, verbose))
    if not is_healthy:
        raise typer.Exit(exit_codes.UNHEALTHY)
