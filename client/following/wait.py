"""Jobs followed to their end, told, and turned into an exit code: what submit, wait and transcribe share.

Runs in: the user's shell.
"""

from collections.abc import Callable, Sequence

from client.daemon.connection import DaemonClient
from client.following.follow import follow
from client.terminal import exit_codes, output
from client.views.progress import ProgressBars
from client.views.tables import job_line
from ipc.api_messages import JobView
from ipc.events import DaemonEvent
from ipc.transcript import Transcript


def see_through(
    daemon: DaemonClient,
    job_ids: Sequence[int],
    *,
    require_words: bool,
    finished: Callable[[JobView], None],
    also_heard: Callable[[DaemonEvent], None] = lambda event: None,
) -> int:
    """Wait for all jobs with progress on the terminal; the worst of their exit codes.

    Ctrl-C leaves them running and says how to come back.
    """
    left = dict.fromkeys(job_ids)
    codes = []
    try:
        with ProgressBars(output.err(), job_ids, ask_queue=lambda: daemon.status().queue) as bars:

            def heard(event: DaemonEvent) -> None:
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
        jobs, them = ("this job keeps", "it") if len(left) == 1 else ("these jobs keep", "them")
        output.say_error(
            f"{jobs} running: {ids}",
            f"`steno wait {ids}` waits for {them} again, `steno cancel {ids}` cancels {them}",
        )
        return exit_codes.INTERRUPTED
    return exit_codes.worst(codes)


def lacks_words(daemon: DaemonClient, job: JobView) -> bool:
    """Whether speech was found but none of it has words, as when alignment is off; a silent recording lacks none."""
    if job.timing == "word":
        return False
    return not Transcript.model_validate_json(daemon.transcript(job.id, "json")).no_speech


def show_finished(as_json: bool) -> Callable[[JobView], None]:
    """How a finished job is told: a JSON line for scripts, a sentence for people."""

    def tell(job: JobView) -> None:
        if as_json:
            output.print_json(job)
        else:
            output.out().print(job_line(job, output.out().width), soft_wrap=True)

    return tell
