"""What `steno doctor` shows: values in, rich renderables out.

Runs in: the user's shell.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.doctor.run import Outcome
from client.terminal.output import visible
from client.terminal.wording import counted
from ipc.status_views import Finding, FindingState

MARKS: dict[FindingState, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "broken": ("✗", "bold red"),
}


def doctor_page(examined: Sequence[Outcome], verbose: bool) -> RenderableType:
    """All findings under their headings; reasons and remedies of what is broken, of everything if `verbose`."""
    parts: list[RenderableType] = []
    for group in dict.fromkeys(outcome.group for outcome in examined):
        findings = [finding for outcome in examined if outcome.group == group for finding in outcome.findings]
        if findings:
            parts += [Text(group, "bold"), _table(findings, verbose), Text()]
    return Group(*parts, _summary([finding for outcome in examined for finding in outcome.findings]))


def _table(findings: Iterable[Finding], verbose: bool) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, width=3, justify="right")
    grid.add_column(overflow="fold")
    for finding in findings:
        mark, style = MARKS[finding.state]
        what = Text(visible(finding.what, keep="\n"), "" if finding.state == "ok" else style)
        grid.add_row(Text(mark, style), what)
        for line in _details(finding, verbose):
            grid.add_row("", line)
    return grid


def _details(finding: Finding, verbose: bool) -> Iterator[Text]:
    if finding.why and (verbose or finding.state == "broken"):
        yield Text(visible(finding.why), "dim")
    if finding.remedy and (verbose or finding.state != "ok"):
        yield Text.assemble(("→ ", "bold"), visible(finding.remedy, keep="\n"))
    if verbose:
        yield Text(finding.check, "dim")


def _summary(findings: Sequence[Finding]) -> Text:
    counts = {state: sum(finding.state == state for finding in findings) for state in MARKS}
    passed, warnings = f"{len(findings)} checks", counted(counts["warning"], "warning")
    if counts["broken"]:
        return Text(f"{counts['broken']} of {passed} failed, {warnings}", "bold red")
    if counts["warning"]:
        return Text(f"No check failed; {warnings} in {passed}", "yellow")
    return Text(f"All {passed} passed", "green")
