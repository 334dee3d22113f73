"""Files of a command line → jobs: what submit and transcribe share.

Runs in: the user's shell, before the daemon has anything to do: no more is loaded than the request needs. What it
takes to watch is loaded in client.following.wait, while the daemon is at work already.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import typer
from pydantic import ValidationError

from client.daemon.connection import DaemonClient
from client.terminal import output
from client.terminal.choices import absolute
from client.terminal.errors import Refusal, fault_words
from config.model_names import SHORT_NAMES
from ipc.api_messages import JobOptions, JobView


def options_of(**given: object) -> JobOptions:
    """What the flags ask for; None where one was not given. Raises BadParameter that names the flag."""
    try:
        return JobOptions.model_validate(given)
    except ValidationError as wrong:
        fault = wrong.errors()[0]
        flag = f"--{fault['loc'][0]}".replace("_", "-")
        raise typer.BadParameter(f"{flag}: {fault_words(fault['msg'])}") from wrong


def model_named(name: str) -> str:
    """As the daemon understands it: a folder that lies here becomes a full path, for a daemon starts elsewhere."""
    folder = Path(name).expanduser().absolute()
    return str(folder) if name not in (*SHORT_NAMES, "starter") and folder.is_dir() else name


def hand_over(
    daemon: DaemonClient, files: Iterable[str], options: JobOptions, as_json: bool
) -> Iterator[tuple[str, JobView | None]]:
    """Each file with its job, or with None once its refusal has been told; the others go on."""
    for file in files:
        path = absolute(file)
        try:
            yield path, daemon.submit(path, options)
        except Refusal as refusal:
            output.print_error(refusal, as_json, path=path)
            yield path, None
