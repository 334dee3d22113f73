"""Files of a command line → jobs, followed to their end: what submit, wait and transcribe share.

Runs in: the user's shell.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import typer
from pydantic import ValidationError

from client import exit_codes, terminal
from client.connection import Daemon
from client.follow import follow
from client.progress_bars import ProgressBars
from client.refusals import Refusal
from client.views import job_line
from config.model_names import SHORT_NAMES
from ipc.api_messages import JobOptions, JobView
from ipc.events import Event
from ipc.transcript import Transcript


def options_of(**given: object) -> JobOptions:
    """What the flags ask for; None where one was not given. Raises BadParameter that names the flag."""
    try:
        return JobOptions.model_validate(given)
    except ValidationError as wrong:
        fault = wrong.errors()[0]
        flag = f"--{fault['loc'][0]}".replace("_", "-")
        raise typer.BadParameter(f"{flag}: {fault['msg']}") from wrong


def model_named(name: str) -> str:
    """As the daemon understands it: a folder that lies here becomes a full path, for a daemon starts elsewhere."""
    folder = Path(name).expanduser().absolute()
    return str(folder) if name not in (*SHORT_NAMES, "starter") and folder.is_dir() else name


def hand_over(
    daemon: Daemon, files: Iterable[str], options: JobOptions, as_json: bool
) -> Iterator[tuple[str, JobView | None]]:
    """Each file with its job, or with None once its refusal has been told; the others go on."""
    for file in files:
        # Not resolve(): whether a symlink is taken is the daemon's to say, and it is the link that was named.
        path = os.path.abspath(file)  # noqa: PTH100
        try:
            yield path, daemon.submit(path, options)
        except Refusal as refusal:
            terminal.print_refused(path, refusal.code, refusal.message, refusal.hint, as_json)
            yield path, None


def see_through(
    daemon: Daemon,
    job_ids: Sequence[int],
    *,
    require_words: bool,
    finished: Callable[[JobView], None],
    also_heard: Callable[[Event], None] = lambda event: None,
) -> int:
    """Wait for all jobs with progress on the terminal; the worst of their exit codes.

    Ctrl-C leaves them running and says how to come back.
    """
    left = dict.fromkeys(job_ids)
    codes = []
    try:
        with ProgressBars(terminal.err(), job_ids, ask_queue=lambda: daemon.status().queue) as bars:

            def heard(event: Event) -> None:
                bars(event)
                also_heard(event)

            for job in follow(daemon, job_ids, heard, lost=bars.lost):
                left.pop(job.id, None)
                with bars.aside():
                    finished(job)
                code = exit_codes.of_job(job, require_words)
                if require_words and code == exit_codes.DONE and lacks_words(daemon, job):
                    code = exit_codes.DEGRADED
                codes.append(code)
    except KeyboardInterrupt:
        ids = " ".join(map(str, left))
        terminal.say(f"steno: {'this job keeps' if len(left) == 1 else 'these jobs keep'} running: {ids}")
        terminal.say(f"       `steno wait {ids}` waits again, `steno cancel {ids}` ends it")
        return exit_codes.INTERRUPTED
    return exit_codes.worst(codes)


def lacks_words(daemon: Daemon, job: JobView) -> bool:
    """Whether speech was found but none of it has words, as when alignment is off; a silent recording lacks none."""
    if job.timing == "word":
        return False
    return not Transcript.model_validate_json(daemon.transcript(job.id, "json")).no_speech


def show_finished(as_json: bool) -> Callable[[JobView], None]:
    """How a finished job is told: a JSON line for scripts, a sentence for people."""

    def tell(job: JobView) -> None:
        if as_json:
            terminal.print_json(job)
        else:
            terminal.out().print(job_line(job), soft_wrap=True)

    return tell
