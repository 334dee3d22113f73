"""What `steno watch list` shows: each watched folder, and in what it differs from the settings.

Runs in: the user's shell.
"""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.views.tables import few_of, short_name, state_text
from client.views.watch_tables import passed_over
from ipc.api_messages import JobOptions
from ipc.status_views import WatchView


def watch_page(watches: Sequence[WatchView]) -> RenderableType:
    """Each folder with its state; below it what is said about it alone."""
    if not watches:
        return Text("no folder is watched: `steno watch add DIR`", "dim")
    first, *others = map(_folder, watches)
    return Group(first, *(part for other in others for part in (Text(), other)))


def _folder(watch: WatchView) -> RenderableType:
    head = Text.assemble((visible(watch.path), "bold"), "  ", state_text(watch.state), overflow="fold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, text in _facts(watch):
        grid.add_row(f"  {label}", visible(text))
    return Group(head, grid) if grid.row_count else head


def _facts(watch: WatchView) -> Iterator[tuple[str, str]]:
    if watch.note:
        yield "why", watch.note
    if watch.recursive:
        yield "includes", "subfolders"
    if watch.include:
        yield "only", ", ".join(watch.include)
    if watch.exclude:
        yield "never", ", ".join(watch.exclude)
    if watch.polling:
        yield "scans", "at intervals, without file events"
    yield from _option_facts(watch.options)
    if watch.done is not None:
        yield "when done", f"moved to {watch.done}"
    if watch.failed is not None:
        yield "when failed", f"moved to {watch.failed}"
    if not watch.permanent:
        yield "added by", "`steno watch add`"
    if watch.growing:
        yield "being written", few_of([short_name(path) for path in watch.growing], count=watch.growing_count)
    for line in passed_over(watch.passed, watch.passed_count):
        yield "not transcribed", line


def _option_facts(options: JobOptions) -> Iterator[tuple[str, str]]:
    if options.language is not None:
        yield "language", options.language
    if options.task is not None:
        yield "task", options.task
    if options.workflow is not None:
        yield "workflow", options.workflow
    if options.model is not None:
        yield "model", options.model
    if options.prompt is not None:
        yield "prompt", f"“{options.prompt}”"
    if options.replacements:
        yield "replaces", ", ".join(f"{wrong} → {right}" for wrong, right in options.replacements.items())
    if options.formats is not None:
        yield "writes", ", ".join(options.formats)
    if options.output_dir is not None:
        yield "to", options.output_dir
    if options.output_name is not None:
        yield "named", options.output_name
    if options.if_exists is not None:
        yield "if it exists", options.if_exists
    if options.highlight_words is not None:
        yield "VTT", "marks each word" if options.highlight_words else "does not mark words"
    if options.track is not None:
        yield "audio track", str(options.track)
