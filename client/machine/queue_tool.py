"""The program that handles the queue's file without a daemon, asked for one thing.

Runs in: the user's shell. Stands alone: a verb loads it only when it is called.
"""

import json
import subprocess
from typing import Any

from client.daemon import here
from client.terminal.errors import NoDaemon, Refusal
from ipc.program import program
from ipc.status_views import CheckView

PROGRAM = program("supervisor.recovery")
"""Its own process: the command does not load what the supervisor is made of."""
REFUSED = 1


def answer_of(*words: str) -> dict[str, Any]:
    """Raises Refusal with the program's own words."""
    done = subprocess.run((*PROGRAM, *words), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode not in (0, REFUSED) or not said:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        why = last[-1] if last else f"exit code {done.returncode}"
        raise Refusal(
            "queue_tool_failed", f"the queue's file could not be handled: {why}", "`steno doctor` tells more"
        )
    answer: dict[str, Any] = json.loads(said)
    if done.returncode == REFUSED:
        raise Refusal(answer["code"], answer["message"], answer["hint"])
    return answer


def checked(repair: bool) -> CheckView:
    """By the daemon, which alone may write; without one by the program. Raises Refusal."""
    try:
        with here.daemon() as daemon:
            return daemon.check(repair=repair)
    except NoDaemon:
        return CheckView.model_validate(answer_of("check", *(["--repair"] if repair else [])))
