"""What the shell offers after TAB, and the verb `completion`, which prints what the shell has to read for that.

Runs in: the user's shell, at every TAB: it asks the socket without any library and gives up soon.
"""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from client.terminal import choices, output
from client.terminal.choices import FORMATS
from ipc import vocabulary

PATIENCE_SECONDS = 0.25
"""The user has pressed TAB. No offer is better than a shell that hangs."""
MOST_JOBS = 50
COMPLETE_VARIABLE = "_STENO_COMPLETE"
NEWEST_FIRST = "\ncomplete -o nosort -o default -F _steno_completion steno 2>/dev/null"
"""bash sorts what it is offered unless told; the bash of a Mac is too old to be told, and keeps the line before."""
WITH_COMPDEF = "if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit -i; fi\ncompdef "
"""A stock zsh has no `compdef` before `compinit`. -i: it skips folders that others may write to, and does not ask."""
HARMLESS = frozenset(" .,-_+@=/~%")
"""What an offer may contain besides letters and digits: zsh's completion evaluates what it is given as code."""

Offer = tuple[str, str]
"""What is offered, and what the shell says about it where it can."""
Offers = Callable[[str], list[Offer]]
"""What has been typed so far → what it may become."""
app = typer.Typer()


def script(shell: str) -> str:
    """What the shell has to read, once, so that TAB works."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # what --show-completion prints

    text: str = get_completion_script(prog_name="steno", complete_var=COMPLETE_VARIABLE, shell=shell)
    match shell:
        case "bash":
            return text + NEWEST_FIRST
        case "zsh":
            return text.replace("\ncompdef ", f"\n{WITH_COMPDEF}")
        case _:
            return text


# --- what the daemon knows ---------------------------------------------------------------------------------------


def _jobs(*statuses: str) -> Offers:
    """Job IDs, newest first, each with its file's name; only those with one of these statuses, where any is given."""

    def offers(incomplete: str) -> list[Offer]:
        return [
            (str(job["id"]), f"{job['status']} {harmless(os.path.basename(str(job['path'])))}")  # noqa: PTH119
            for job in _asked(f"/v1/jobs?limit={MOST_JOBS}")
            if (not statuses or job["status"] in statuses) and str(job["id"]).startswith(incomplete)
        ]

    return offers


jobs = _jobs()
finished_jobs = _jobs(*vocabulary.FINISHED)
unfinished_jobs = _jobs("waiting", "transcribing", "aligning", "writing")
retryable_jobs = _jobs("failed", "cancelled")


def watched_folders(incomplete: str) -> list[Offer]:
    """Folders that `steno watch remove` can take away. Those whose name a shell could take for code are left out."""
    known = [str(watch["path"]) for watch in _asked("/v1/watches")]
    home = str(Path.home())
    # The shell hands over what was typed: `~/Rec` stays as it is.
    offered = [path.replace(home, "~", 1) if incomplete.startswith("~") else path for path in known]
    return [(_typed(path), "") for path in offered if path.startswith(incomplete) and harmless(path) == path]


def _asked(url: str) -> list[dict[str, Any]]:
    """The daemon's answer, a list; empty if there is no daemon, or it is busy with something else."""
    from config.places import find_places

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(PATIENCE_SECONDS)
            line.connect(str(find_places().socket))
            # HTTP/1.0: the answer ends where the connection does. A real client takes half a second to load.
            line.sendall(f"GET {url} HTTP/1.0\r\nHost: steno\r\n\r\n".encode())
            answer = b"".join(iter(lambda: line.recv(65_536), b""))
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def harmless(text: str) -> str:
    """The text with `_` for everything that a shell could take for code."""
    return "".join(letter if letter.isalnum() or letter in HARMLESS else "_" for letter in text)


def _typed(path: str) -> str:
    """bash puts an offer on the line as it is; zsh and fish quote it themselves."""
    if os.environ.get(COMPLETE_VARIABLE) != "complete_bash":
        return path
    return path.replace(" ", "\\ ")


# --- what flags accept -------------------------------------------------------------------------------------------


def formats(incomplete: str) -> list[str]:
    """`srt`, and after `json,` those that are not there yet."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    offers = [format for format in FORMATS if format not in taken and format.startswith(last)]
    every = ["all"] if not before and "all".startswith(last) else []
    return [f"{before}{comma}{format}" for format in offers] + every


def languages(incomplete: str) -> list[Offer]:
    """Codes with their names; names once the user begins to spell one."""
    from config.model_names import CODE_OF

    wanted = incomplete.lower()
    codes = {code: name.title() for name, code in reversed(CODE_OF.items()) if code.startswith(wanted)}
    if codes or not wanted:
        return sorted(codes.items())
    return [(name, code) for name, code in sorted(CODE_OF.items()) if name.startswith(wanted) and " " not in name]


def models(incomplete: str) -> list[str]:
    """Short names of hub IDs, and `starter`."""
    from config.model_names import SHORT_NAMES

    return [name for name in ("starter", *SHORT_NAMES) if name.startswith(incomplete)]


@app.command(
    "completion",
    rich_help_panel="This machine",
    epilog='\nExamples:\n  eval "$(steno completion bash)"      in ~/.bashrc\n'
    '  eval "$(steno completion zsh)"       in ~/.zshrc\n'
    "  steno completion fish | source       in ~/.config/fish/config.fish",
)
def show_completion(shell: choices.Shell) -> None:
    """Print the shell code that completes verbs, flags, job IDs, folders and languages with TAB."""
    output.print_line(script(shell), keep="\n")
