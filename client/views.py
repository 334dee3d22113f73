"""Tables and stories: values in, rich renderables out. Knows no terminal, no clock and no daemon.

Runs in: the user's shell.
"""

import posixpath
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.terminal import visible
from ipc.api_messages import Attempt, JobView

STYLES = {
    "ready": "green",
    "busy": "cyan",
    "starting": "yellow",
    "backing_off": "yellow",
    "broken": "bold red",
    "unloaded": "dim",
    "stopping": "dim",
    "stopped": "dim",
    "waiting": "yellow",
    "transcribing": "cyan",
    "aligning": "cyan",
    "writing": "cyan",
    "done": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "watching": "green",
    "offline": "red",
    "needs_permission": "red",
}
PHASES = {
    "loading": "loading the model",
    "downloading": "downloading the model",
    "decoding": "reading the recording",
    "speech": "looking for speech",
    "language": "finding the language",
    "transcribing": "transcribing",
    "aligning": "timing words",
    "writing": "writing files",
    "waiting": "waiting",
}
DEGRADED = {
    "aligner_crashed": "the aligner crashed on some of it",
    "aligner_unavailable": "the aligner was not there; its words come when it is back",
    "aligner_timeout": "the aligner took too long",
    "alignment_text_mismatch": "the aligner changed the text and was overruled",
    "alignment_failed": "the aligner found no believable times",
}


# --- small things ------------------------------------------------------------------------------------------------


def base_name(path: str) -> str:
    """The file's name, safe to show."""
    return visible(posixpath.basename(path) or path)


def clock(seconds: float | None) -> str:
    """`1:02:03`, `4:05`; `–` for what is not known."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def ago(iso: str, now: datetime) -> str:
    """How long since this moment, in one unit."""
    past = max(now - datetime.fromisoformat(iso), timedelta())
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if past.total_seconds() >= seconds:
            return f"{int(past.total_seconds() // seconds)} {unit} ago"
    return f"{int(past.total_seconds())} s ago"


def gigabytes(size_bytes: int) -> str:
    """`2.3 GB`, `70 MB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def phase_words(status: str, phase: str | None) -> str:
    """What is being done, in words."""
    return PHASES.get(phase or status) or visible(phase or status)


def degraded_words(reason: str) -> str:
    """A `degraded_reason` in words."""
    if reason.startswith("no_alignment_model:"):
        return f"no alignment model for {reason.partition(':')[2]}"
    return DEGRADED.get(reason, reason.replace("_", " "))


def state_text(state: str) -> Text:
    """A state's name in its colour."""
    return Text(state.replace("_", " "), STYLES.get(state, ""))


def plain_table(*columns: str) -> Table:
    """A table with a line under its head, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in ("id", "length", "size") else "left",
            no_wrap=column in ("id", "status", "length", "progress", "since", "state", "size"),
            overflow="fold",
        )
    return table


# --- jobs --------------------------------------------------------------------------------------------------------


def jobs_table(jobs: Sequence[JobView], now: datetime) -> RenderableType:
    """Newest first, one line a job."""
    if not jobs:
        return Text("no jobs", "dim")
    table = plain_table("id", "status", "recording", "length", "result", "since")
    for job in jobs:
        since = job.finished_at or job.created_at
        table.add_row(
            str(job.id),
            state_text(job.status),
            base_name(job.path),
            clock(job.audio_seconds),
            _result(job),
            ago(since, now),
        )
    return table


def _result(job: JobView) -> Text:
    match job.status:
        case "done" if job.degraded_reason not in (None, "alignment_off"):
            return Text(f"{_timing(job)}: {degraded_words(job.degraded_reason or '')}", "yellow")
        case "done":
            return Text(_timing(job))
        case "failed" if job.error is not None:
            return Text(visible(job.error.message), "red")
        case _:
            return Text(visible(job.note or ""), "dim")


def _timing(job: JobView) -> str:
    match job.timing:
        case "word":
            return "words timed"
        case "mixed":
            return "some words timed"
        case "segment" | None:
            return "segments timed"


def job_line(job: JobView) -> Text:
    """A finished job in one line."""
    line = Text.assemble((job.status, STYLES[job.status]), " ", base_name(job.path))
    match job.status:
        case "done":
            line.append(f"  {clock(job.audio_seconds)}, ").append_text(_result(job))
            line.append("  → " + ", ".join(visible(path) for path in job.outputs.values()) if job.outputs else "")
        case "failed" if job.error is not None:
            line.append(f"  {visible(job.error.message)}\n       {visible(job.error.hint)}")
        case _:
            line.append(f"  {visible(job.note)}" if job.note else "")
    return line


def job_story(job: JobView, now: datetime) -> RenderableType:
    """Everything about one job, crash by crash."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("recording", visible(job.path))
    facts.add_row("status", Text.assemble(state_text(job.status), f"  {visible(job.note)}" if job.note else ""))
    facts.add_row("handed over", ago(job.created_at, now))
    if job.audio_seconds is not None:
        facts.add_row("length", clock(job.audio_seconds))
    if job.language is not None:
        facts.add_row("language", visible(job.language))
    if job.status == "done":
        facts.add_row("result", _result(job))
    for format, path in job.outputs.items():
        facts.add_row(format, visible(path))
    if job.error is not None:
        facts.add_row("error", Text(f"{visible(job.error.message)} ({visible(job.error.code)})", "red"))
        facts.add_row("what to do", visible(job.error.hint))
    story = [Text(f"{number}. {attempt_words(attempt)}") for number, attempt in enumerate(job.attempts, 1)]
    return Group(Text(f"job {job.id}", "bold"), facts, *([Text(), *story] if story else []))


def attempt_words(attempt: Attempt) -> str:
    """One attempt as a sentence: who had the job in hand, and how that ended."""
    who = f"the {attempt.role} ({visible(attempt.engine)})"
    during = f" while {phase_words(attempt.phase, None)}" if attempt.phase else ""
    match attempt.outcome:
        case "done":
            return f"{who} did its part"
        case "crashed":
            return f"{who} died{f' of {visible(attempt.signal)}' if attempt.signal else ''}{during}"
        case "timeout":
            return f"{who} made no progress{during} and was replaced"
        case "failed":
            return f"{who} could not do it{during}"


# --- this machine ------------------------------------------------------------------------------------------------


def settings_table(values: Mapping[str, str], origins: Mapping[str, str]) -> RenderableType:
    """Each setting, its value and who said so."""
    table = plain_table("setting", "value", "from")
    for key, value in values.items():
        origin = origins[key]
        table.add_row(key, visible(value), Text(visible(origin), "dim" if origin == "default" else ""))
    return table
