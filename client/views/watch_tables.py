"""The watched folders as `steno status` and `steno watch list` show them.

Runs in: the user's shell.
"""

from collections.abc import Sequence
from typing import assert_never

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.views.tables import few_of, short_name, state_text
from ipc.api_messages import JobOptions
from ipc.status_views import PassedOverView, WatchView


def watches_table(watches: Sequence[WatchView]) -> RenderableType:
    """Each folder with its state; below it what grows in it, what cannot be taken, and how it is treated."""
    if not watches:
        return Text("no folder is watched: `steno watch add DIR`", "dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for watch in watches:
        grid.add_row(state_text(watch.state), _folder(watch))
        if watch.note:
            grid.add_row("", Text(visible(watch.note), "yellow"))
        if watch.growing:
            growing = few_of([short_name(path) for path in watch.growing], count=watch.growing_count)
            grid.add_row("", Text(f"being written: {growing}", "cyan"))
        for line in passed_over(watch.passed, watch.passed_count):
            grid.add_row("", Text(line, "yellow"))
        if treatment := " · ".join([*_choice(watch), *options_words(watch.options)]):
            grid.add_row("", Text(treatment, "dim"))
    return grid


def _folder(watch: WatchView) -> Text:
    about = ["with subfolders"] if watch.recursive else []
    about += ["polling"] if watch.polling else []
    about += [] if watch.permanent else ["added by `steno watch add`"]
    return Text(visible(watch.path)).append("".join(f" · {fact}" for fact in about), "dim")


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


def _choice(watch: WatchView) -> list[str]:
    told = [f"only {', '.join(map(visible, watch.include))}"] if watch.include else []
    told += [f"without {', '.join(map(visible, watch.exclude))}"] if watch.exclude else []
    told += [f"done → {visible(watch.done)}"] if watch.done else []
    told += [f"failed → {visible(watch.failed)}"] if watch.failed else []
    return told


def options_words(options: JobOptions) -> list[str]:
    """How recordings are treated where that is not as the settings say: `language de`, `into /out` …"""
    named = {"language": options.language, "model": options.model, "workflow": options.workflow}
    told = [f"{name} {visible(choice)}" for name, choice in named.items() if choice]
    told += ["translated into English"] if options.task == "translate" else []
    told += [", ".join(options.formats)] if options.formats else []
    told += [f"into {visible(options.output_dir)}"] if options.output_dir else []
    told += [f"named {visible(options.output_name)}"] if options.output_name else []
    told += ["with a prompt"] if options.prompt else []
    told += ["with replacements"] if options.replacements else []
    return told
