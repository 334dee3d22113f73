"""The watched folders: in a line or two each for `steno status`, with everything about them for `steno watch list`.

Runs in: the user's shell.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.views.tables import cut_in_middle, few_of, short_name, state_text
from ipc.api_messages import JobOptions
from ipc.status_views import PassedOverView, WatchView

NONE = "no folder is watched: `steno watch add DIR`"
LONGEST_FACT_CELLS = 60
"""Of a prompt or a pattern beside others in one line."""


def watches_table(watches: Sequence[WatchView]) -> RenderableType:
    """Each folder with its state; below it what grows in it, what is skipped, and its options."""
    if not watches:
        return Text(NONE, "dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for watch in watches:
        about = ["with subfolders"] if watch.recursive else []
        about += ["polling"] if watch.polling else []
        about += [] if watch.permanent else ["added by `steno watch add`"]
        folder = Text(visible(watch.path)).append("".join(f" · {fact}" for fact in about), "dim")
        grid.add_row(state_text(watch.state), folder)
        if watch.note:
            grid.add_row("", Text(visible(watch.note, keep="\n"), "yellow"))
        if watch.growing:
            grid.add_row("", Text(f"being written: {_growing(watch)}", "cyan"))
        for line in passed_over(watch.passed, watch.passed_count):
            grid.add_row("", Text(line, "yellow"))
        if facts := [cut_in_middle(visible(f"{name} {fact}"), LONGEST_FACT_CELLS) for name, fact in _options(watch)]:
            grid.add_row("", Text(" · ".join(facts), "dim"))
    return grid


def watch_page(watches: Sequence[WatchView]) -> RenderableType:
    """Each folder with its state; below it all that is particular to it, a line each."""
    if not watches:
        return Text(NONE, "dim")
    first, *others = map(_folder, watches)
    return Group(first, *(part for other in others for part in (Text(), other)))


def _folder(watch: WatchView) -> RenderableType:
    head = Text.assemble((visible(watch.path), "bold"), "  ", state_text(watch.state), overflow="fold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, text in _facts(watch):
        grid.add_row(f"  {label}", visible(text, keep="\n" if label == "why" else ""))
    return Group(head, grid) if grid.row_count else head


def _facts(watch: WatchView) -> Iterator[tuple[str, str]]:
    if watch.note:
        yield "why", watch.note
    if watch.recursive:
        yield "includes", "subfolders"
    if watch.polling:
        yield "scans", "at intervals, without file events"
    yield from _options(watch)
    if not watch.permanent:
        yield "added by", "`steno watch add`"
    if watch.growing:
        yield "being written", _growing(watch)
    for line in passed_over(watch.passed, watch.passed_count):
        yield "not transcribed", line


def _options(watch: WatchView) -> Iterator[tuple[str, str]]:
    """What is not as the settings say, by its name."""
    if watch.include:
        yield "only", ", ".join(watch.include)
    if watch.exclude:
        yield "never", ", ".join(watch.exclude)
    yield from _job_options(watch.options)
    if watch.done is not None:
        yield "done", f"→ {watch.done}"
    if watch.failed is not None:
        yield "failed", f"→ {watch.failed}"


def _job_options(options: JobOptions) -> Iterator[tuple[str, str]]:
    for name in ("language", "task", "workflow", "model"):
        if (chosen := getattr(options, name)) is not None:
            yield name, chosen
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
    if options.priority is not None:
        yield "priority", options.priority
    if options.track is not None:
        yield "audio track", str(options.track)


# --- what lies in them -------------------------------------------------------------------------------------------


def _growing(watch: WatchView) -> str:
    return few_of([short_name(path) for path in watch.growing], count=watch.growing_count)


def passed_over(passed: Sequence[PassedOverView], count: int = 0) -> list[str]:
    """A line for each reason why something lies there and is not taken. `count`: of how many these are some."""
    names: dict[str, list[str]] = {}
    for one in passed:
        names.setdefault(_why(one), []).append(short_name(one.path))
    lines = [f"{why}: {few_of(there)}" for why, there in names.items()]
    return lines if count <= len(passed) else [*lines, f"and {count - len(passed):,} more are skipped"]


def _why(passed: PassedOverView) -> str:
    match passed.why:
        case "name_is_not_utf8":
            return "skipped, the name is not valid UTF-8"
        case "only_in_icloud":
            return "only in iCloud, skipped until downloaded"
        case "folder_cannot_be_read":
            return "cannot be read"
        case "is_a_symlink":
            return "symbolic links, not followed here (`steno submit` follows one)"
        case "name_ends_in_space":
            return "skipped, the name ends in a space"
        case "name_of_unfinished_file":
            return "skipped, the name is that of an unfinished file (.temp, .tmp)"
        case _:
            assert_never(passed.why)
