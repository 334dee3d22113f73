"""Models as tables and bars: values in, rich renderables out; bars on a terminal only.

Runs in: the user's shell.
"""

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.views.tables import gigabytes, plain_table
from ipc.model_messages import FileProgress, ListedModel, ModelInstalled, ModelList, Removal

LONGEST_DESCRIPTION = 36
SHORTEST_NAME = 10
STYLES = {"whole": "green", "missing": "yellow", "damaged": "bold red"}


def model_table(listing: ModelList) -> RenderableType:
    """What is needed and what is here, then the names that could be."""
    table = plain_table("model", "engine", "size", "state", "used as")
    for model in listing.models:
        table.add_row(
            _title(model),
            model.engine,
            gigabytes(model.size_bytes) if model.size_bytes else "–",
            Text(_state(model), STYLES[model.state]),
            Text(", ".join(model.used_as)),
        )
    lines: list[RenderableType] = [table]
    for model in listing.models:
        if model.why:
            lines.append(Text(f"{visible(model.name)}: {visible(model.why)}", STYLES[model.state]))
    if any(model.used_as and model.state != "whole" for model in listing.models):
        lines.append(Text("`steno models pull` fetches what the settings need"))
    lines.append(Text(f"{gigabytes(listing.free_bytes)} free at {visible(listing.hub_cache)}", "dim"))
    return Group(*lines, _names(listing))


def _title(model: ListedModel) -> Text:
    title = Text(visible(model.name))
    match model.kind:
        case "aligner" if model.name == "starter":
            title.append(" (aligner)")
        case "conversion":
            title.append(" (made for mlx)", "dim")
        case _ if model.id != model.name:
            title.append(f"\n{visible(model.id)}", "dim")
    return title


def _state(model: ListedModel) -> str:
    return "unfinished" if model.state == "missing" and model.size_bytes else model.state


def _names(listing: ModelList) -> RenderableType:
    common = set.intersection(*map(set, listing.names.values())) if listing.names else set()
    every = next(iter(listing.names.values()), ())
    names = Table.grid(padding=(0, 1))
    names.add_column(no_wrap=True, style="dim")
    names.add_column(style="dim")
    names.add_row("names:", ", ".join(name for name in every if name in common))
    for engine, known in listing.names.items():
        if alone := [name for name in known if name not in common]:
            names.add_row("", f"{', '.join(alone)} ({engine} only)")
    names.add_row("", "or a hub ID, a folder, or starter")
    return names


def here_line(model: ModelInstalled) -> Text:
    """A model that is here now."""
    how = f"{gigabytes(model.fetched_bytes)} fetched" if model.fetched_bytes else "already here"
    return Text.assemble(("✓ ", "green"), visible(model.name), f"  {gigabytes(model.size_bytes)}, {how}, verified")


def removal_text(removal: Removal) -> Text:
    """What goes, or went."""
    verb = "removed" if removal.is_done else "would remove"
    text = Text(f"{verb} {visible(removal.name)}: {gigabytes(removal.freed_bytes)}")
    for path in removal.paths:
        text.append(f"\n  {visible(path)}", "dim")
    return text


class FetchBars(Progress):
    """One bar for each model on its way: its present file, bytes, speed and what is left of the time."""

    def __init__(self, console: Console) -> None:
        self._models: dict[str, tuple[TaskID, tuple[str, str]]] = {}
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def moves(self, file: FileProgress) -> None:
        stage = (file.phase, file.file)
        task, before = self._models.get(file.model, (None, None))
        if task is None:
            task = self.add_task(_description(file), total=file.total_bytes, completed=file.done_bytes)
        if stage != before:
            # What was here before is no speed.
            self.reset(task, total=file.total_bytes, completed=file.done_bytes, description=_description(file))
            self._models[file.model] = (task, stage)
        self.update(task, completed=file.done_bytes, total=file.total_bytes)

    def ends(self, model: str) -> None:
        if known := self._models.pop(model, None):
            self.remove_task(known[0])


def _description(file: FileProgress) -> str:
    """`small  model.bin`, short enough to leave room for a bar on 80 columns."""
    doing = f"{'checking ' if file.phase == 'checking' else ''}{visible(file.file)}".rstrip()
    model = visible(file.model.rpartition("/")[2])
    room = max(LONGEST_DESCRIPTION - len(doing) - 2, SHORTEST_NAME)
    return f"{model if len(model) <= room else model[: room - 1] + '…'}  {doing}"
