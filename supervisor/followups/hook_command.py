"""The call of a hook: program and arguments, environment, stdin. Pure.

Runs in: supervisor.
"""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.field_types import Command
from ipc.api_messages import JobView
from supervisor.store.outbox import Event

NOTIFY: Command = ("notify",)
"""The built-in choice: a system notification."""
USUAL_FOLDERS = ("/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
"""The usual program folders. launchd and systemd give a service a shorter PATH than a shell."""
SHOW = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")
"""AppleScript that gets its text as arguments: in the script itself a quote in a name would be code."""


@dataclass(frozen=True, slots=True)
class HookCall:
    """Everything needed to start the process."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    says: bytes
    """Its stdin."""


def hook_call(
    command: Command,
    event: Event,
    job: JobView,
    *,
    platform: str,
    surroundings: Mapping[str, str],
    own_folder: str,
    expand: Callable[[str], str],
) -> HookCall:
    """The call of a configured command.

    `surroundings`: our own environment; `own_folder`: the folder of `steno`; `expand`: turns `~` into a home.
    """
    told = "done" if event == "upgraded" else event
    argv = notification(event, job, platform) if command == NOTIFY else (expand(command[0]), *command[1:])
    says = {"event": told, "upgraded": event == "upgraded", "job": job.model_dump(mode="json")}
    return HookCall(
        argv=argv,
        environment={
            **surroundings,
            "PATH": path_of(surroundings.get("PATH", ""), own_folder),
            "STENO_EVENT": told,
            "STENO_JOB_ID": str(job.id),
            "STENO_RECORDING": job.path,
        },
        says=json.dumps(says, ensure_ascii=False).encode() + b"\n",
    )


def path_of(inherited: str, own_folder: str) -> str:
    """The inherited PATH first, then the usual folders, then ours."""
    folders = [folder for folder in inherited.split(":") if folder]
    return ":".join(dict.fromkeys([*folders, *USUAL_FOLDERS, own_folder]))


def notification(event: Event, job: JobView, platform: str) -> tuple[str, ...]:
    """The program that shows a notification. It contains no word of the transcript: a locked screen shows it."""
    title, text = "stenod", sentence(event, job)
    if platform == "darwin":
        lines = (word for line in SHOW for word in ("-e", line))
        return ("/usr/bin/osascript", *lines, title, text)
    # Notification servers may parse the body as markup (https://specifications.freedesktop.org/notification-spec/).
    return ("notify-send", "--app-name=stenod", "--", title, html.escape(text, quote=False))


def sentence(event: Event, job: JobView) -> str:
    """The event in one short sentence."""
    name = Path(job.path).name
    match event:
        case "done":
            return f"Transcribed: {name}" + (f" (but {job.warnings[0]})" if job.warnings else "")
        case "upgraded":
            return f"Every word has its time now: {name}" if job.timing == "word" else f"Words were timed: {name}"
        case "degraded":
            return f"Some words have no times: {name} ({job.degraded_reason})"
        case "failed":
            return f"Not transcribed: {name}" + (f" ({job.error.message})" if job.error else "")
