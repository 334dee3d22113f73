"""Files of a command line → jobs: what submit and transcribe share.

Runs in: the user's shell, before the daemon has anything to do: no more is loaded than the request needs. What it
takes to watch is loaded in client.following.wait, while the daemon is at work already.
"""

from collections.abc import Iterable, Iterator, Mapping

import typer
from pydantic import ValidationError

from client.daemon.connection import DaemonClient
from client.terminal import output
from client.terminal.choices import absolute
from client.terminal.errors import Refusal, fault_words
from ipc.api_messages import JobOptions, JobView
from ipc.vocabulary import Workflow

FLAGS = {"output_name": "name", "formats": "format", "replacements": "replace"}
"""Fields whose flags have another name."""


def options_of(flags: Mapping[str, object], workflow: Workflow | None) -> JobOptions:
    """What the flags of these names ask for, and `workflow`. Raises BadParameter that names the flag."""
    given = {name: flags[name] for name in JobOptions.model_fields if flags.get(name) is not None}
    try:
        return JobOptions.model_validate({**given, "workflow": workflow})
    except ValidationError as wrong:
        fault = wrong.errors()[0]
        flag = FLAGS.get(str(fault["loc"][0]), str(fault["loc"][0])).replace("_", "-")
        raise typer.BadParameter(f"--{flag}: {fault_words(fault['msg'])}") from wrong


def hand_over(
    daemon: DaemonClient, files: Iterable[str], options: JobOptions, as_json: bool
) -> Iterator[tuple[str, JobView | None]]:
    """Each file with its job, or with None once its refusal is printed; the others continue."""
    for file in files:
        path = absolute(file)
        try:
            yield path, daemon.submit(path, options)
        except Refusal as refusal:
            output.print_error(refusal, as_json, path=path)
            yield path, None
