"""The follow-ups of a finished job: which command, which folder, and the pause before a retry. Pure.

Runs in: supervisor.
"""

from pathlib import Path
from typing import assert_never

from config.field_types import Command
from config.settings import HookSettings
from config.watch_entry import WatchEntry
from supervisor.store.job import Job
from supervisor.store.outbox import Event, NewFollowUp

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 3600.0

AS_WISHED = "alignment_off"
"""The reason code of a job whose words were not requested: it is not degraded."""


def follow_ups_after(
    job: Job, event: Event, entry: WatchEntry | None, hooks: HookSettings
) -> tuple[NewFollowUp, ...]:
    """The follow-ups of a job that ended this way; `entry`: the watched folder that it came from, if it still is
    one."""
    move = [NewFollowUp("move_recording", event)] if folder_after(event, entry) is not None else []
    events: list[Event] = [event]
    if event == "done" and job.degraded_reason not in (None, AS_WISHED):
        events.append("degraded")
    return (*move, *(NewFollowUp("hook", one) for one in events if command_after(one, entry, hooks)))


def folder_after(event: Event, entry: WatchEntry | None) -> Path | None:
    """The folder that the recording is moved to; None: it stays."""
    match event:
        case _ if entry is None:
            return None
        case "done":
            return None if entry.done is None else entry.within(entry.done)
        case "failed":
            return None if entry.failed is None else entry.within(entry.failed)
        case "degraded" | "upgraded":
            return None
        case _:
            assert_never(event)


def command_after(event: Event, entry: WatchEntry | None, hooks: HookSettings) -> Command:
    """The watched folder's own command if it has one, even an empty one; otherwise that of the settings."""
    match event:
        case "done" | "upgraded":
            own, common = None if entry is None else entry.on_done, hooks.on_done
        case "failed":
            own, common = None if entry is None else entry.on_failed, hooks.on_failed
        case "degraded":
            own, common = None if entry is None else entry.on_degraded, hooks.on_degraded
        case _:
            assert_never(event)
    return common if own is None else own


def seconds_before_retry(tries: int) -> float:
    """The pause after this many failures; doubles with each."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 20), LONGEST_RETRY_SECONDS)
