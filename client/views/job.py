"""`steno show`: one job in sentences, crash by crash, and which of its tracks and channels were transcribed.

Runs in: the user's shell.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from client.terminal.output import visible
from client.terminal.wording import degraded_words, phase_words, remedy, signal_words
from client.views.tables import STYLES, ago, base_name, clock, result_text, state_text, without_path
from config.model_names import CODE_OF
from ipc.api_messages import Attempt, JobView
from ipc.transcript import RecordingFacts, Track
from ipc.vocabulary import FINISHED

USUAL_MIXES = ("mono", "mix", None)
MOST_TRACKS_NAMED = 8
QUARANTINES = frozenset(
    {"transcriber_crashed", "transcriber_timeout", "decoder_crashed", "decoder_timeout", "daemon_died"}
)
"""Codes of errors of jobs that failed because they killed workers, or the daemon."""
DAYS_WITH_ITS_TIME = 1


def sound_words(recording: RecordingFacts | None) -> str | None:
    """`track 2 ("Mic", deu) of 3; not transcribed: 1 (eng), 3; channel 4`. None where there was nothing to choose."""
    if recording is None:
        return None
    told: list[str] = []
    if recording.track is not None and recording.other_tracks:
        others = [_track(track) for track in recording.other_tracks[:MOST_TRACKS_NAMED]]
        more = len(recording.other_tracks) - len(others)
        told.append(f"track {_track(recording.track)} of {len(recording.other_tracks) + 1}")
        told.append(f"not transcribed: {', '.join(others)}{f' and {more} more' if more else ''}")
    if recording.channels_used not in USUAL_MIXES:
        told.append(visible(recording.channels_used or ""))
    return "; ".join(told) or None


def _track(track: Track) -> str:
    about = ", ".join(filter(None, (None if track.title is None else f'"{visible(track.title)}"', track.language)))
    return f"{track.number} ({about})" if about else str(track.number)


def job_page(job: JobView, now: datetime, zone: tzinfo | None = None) -> RenderableType:
    """Everything about one job. Times of day are of `zone`, the machine's own if None."""
    parts: list[RenderableType] = [_head(job), _facts(job, now), Text(), _history(job, now, zone)]
    if steps := list(what_to_do(job)):
        parts += [Text(), Text("next steps", "bold"), *(Padding(step, (0, 0, 0, 2)) for step in steps)]
    return Group(*parts)


def _head(job: JobView) -> Text:
    head = Text.assemble((f"job {job.id}", "bold"), " · ", state_text(job.status))
    if job.status == "done" and job.timing is not None:
        head.append(" · ").append_text(result_text(job))
    return head


def _facts(job: JobView, now: datetime) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("recording", visible(job.path))
    source = "submitted" if job.watch is None else f"from the watched folder {visible(job.watch)},"
    facts.add_row("source", f"{source} {ago(job.created_at, now)}")
    if job.priority != "normal":
        facts.add_row("priority", job.priority)
    if job.audio_seconds is not None:
        facts.add_row("length", clock(job.audio_seconds))
    if job.language is not None:
        facts.add_row("language", _language(job.language))
    if (sound := sound_words(job.recording)) is not None:
        facts.add_row("sound", sound)
    if job.unheard_seconds:
        facts.add_row("unheard", f"{clock(job.unheard_seconds)} of sound without text; see `unheard` in the JSON")
    for warning in job.warnings:
        facts.add_row(Text("warning", "yellow"), Text(visible(warning), "yellow"))
    for format, path in job.outputs.items():
        facts.add_row(format, visible(path))
    return facts


def _language(code: str) -> str:
    name = next((name.title() for name, known in CODE_OF.items() if known == code), None)
    return visible(code) if name is None else f"{name} ({visible(code)})"


# --- its history -------------------------------------------------------------------------------------------------


def _history(job: JobView, now: datetime, zone: tzinfo | None) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(_time(job.created_at, now, zone), _beginning(job))
    for position, attempt in enumerate(job.attempts):
        style = "" if attempt.outcome == "done" else "yellow"
        at = "" if attempt.at is None else _time(attempt.at, now, zone)
        table.add_row(at, Text(attempt_words(attempt, _is_again(job.attempts, position)), style))
        if then := consequence(job, position):
            table.add_row("", then)
    ended_at = "" if job.finished_at is None else _time(job.finished_at, now, zone)
    table.add_row(ended_at, Text(ending(job), STYLES[job.status] if job.status in FINISHED else ""))
    return table


def _time(iso: str, now: datetime, zone: tzinfo | None) -> str:
    at = datetime.fromisoformat(iso).astimezone(zone)
    recent = (now.astimezone(UTC) - at).days < DAYS_WITH_ITS_TIME
    return f"{at:%H:%M:%S}" if recent else f"{at:%Y-%m-%d %H:%M}"


def _beginning(job: JobView) -> str:
    name = base_name(job.path)
    return f"{name} was submitted." if job.watch is None else f"{name} was found in {visible(job.watch)}."


def attempt_words(attempt: Attempt, again: bool = False) -> str:
    """One attempt as a sentence: what worked on the job, and how that ended."""
    who = "The decoder" if attempt.engine == "decoder" else f"The {attempt.role} ({visible(attempt.engine)})"
    during = f" while {phase_words('', attempt.phase)}" if attempt.phase else ""
    once_more = " again" if again else ""
    match attempt.outcome:
        case "done" if attempt.role == "transcriber":
            return f"Transcribed ({visible(attempt.engine)})."
        case "done":
            return f"Words timed ({visible(attempt.engine)})."
        case "crashed":
            cause = f": {signal_words(attempt.signal)}" if attempt.signal else ", for an unknown reason"
            return f"{who} crashed{once_more}{during}{cause}."
        case "timeout":
            return f"{who} hung{once_more}{during}: it made no progress and was stopped."
        case "failed":
            return f"{who} could not process the file{during} (no crash)."


def _is_again(attempts: Sequence[Attempt], position: int) -> bool:
    def who_and_how(attempt: Attempt) -> tuple[str, ...]:
        return attempt.role, attempt.engine, attempt.outcome

    return who_and_how(attempts[position]) in map(who_and_how, attempts[:position])


def consequence(job: JobView, position: int) -> str:
    """What stenod did about a crashed worker; empty where nothing had to be done."""
    attempt = job.attempts[position]
    if attempt.outcome not in ("crashed", "timeout"):
        return ""
    then = next((after for after in job.attempts[position + 1 :] if after.role == attempt.role), None)
    if attempt.role == "aligner":
        return _consequence_for_words(job, position, then)
    if then is None and job.status == "failed":
        quarantined = job.error is not None and job.error.code in QUARANTINES
        return "That was one crash too many: the job is quarantined; other jobs continue." if quarantined else ""
    if then is None and job.status == "cancelled":
        return ""
    resumed = _place(attempt)
    if then is not None and then.engine != attempt.engine:
        return f"The other engine, {visible(then.engine)}, continued {resumed}."
    verb = "continued" if then is not None or job.status in FINISHED else "continues"
    return f"A new worker {verb} {resumed}."


def _place(attempt: Attempt) -> str:
    match attempt.done_seconds:
        case None:
            return "from the last stored segment"
        case 0.0:
            return "from the beginning"
        case seconds:
            return f"from {clock(seconds)}; the text before that is kept"


def _consequence_for_words(job: JobView, position: int, then: Attempt | None) -> str:
    deaths_before = sum(
        before.role == "aligner" and before.outcome in ("crashed", "timeout") for before in job.attempts[:position]
    )
    if then is None and job.status == "done":
        return "The segments that it was timing keep segment times; the text is complete."
    if then is None and job.status in FINISHED:
        return ""
    if deaths_before:
        return "A new worker tried the same segments in smaller groups, to find the one that crashes it."
    return "A new worker tried the same segments again."


def ending(job: JobView) -> str:
    """Its present state, or how it ended, as a sentence."""
    match job.status:
        case "done" if job.degraded_reason not in (None, "alignment_off"):
            return f"Done, with the complete text; {degraded_words(job.degraded_reason or '')}."
        case "done" if job.note:
            return f"Done: {visible(job.note)}."
        case "done" if job.degraded_reason == "alignment_off":
            return "Done, with segment times: word times were not requested."
        case "done":
            with_times = ", with a time for every word" if job.timing == "word" else ""
            return f"Done{with_times}; see the warning above." if job.warnings else f"Done{with_times}."
        case "failed":
            return f"Failed: {without_path(job.error.message, job.path)}." if job.error is not None else "Failed."
        case "cancelled":
            return f"Cancelled: {visible(job.note)}." if job.note else "Cancelled."
        case "waiting":
            return f"Waiting: {visible(job.note)}." if job.note else "Waiting for its turn."
        case "transcribing" | "aligning" | "writing":
            return f"In progress: {phase_words(job.status, None)}."


def what_to_do(job: JobView) -> Iterator[str]:
    """Next steps for a person; none where there is nothing to be done."""
    match job.status:
        case "failed" if job.error is not None:
            yield visible(job.error.hint)
            if "steno retry" not in job.error.hint:
                yield f"then `steno retry {job.id}`"
            if job.error.code in QUARANTINES:
                yield f"`steno logs --job {job.id}` shows what the daemon logged"
        case "done" if job.degraded_reason not in (None, "alignment_off"):
            if step := remedy(job.degraded_reason or ""):
                yield step
        case "cancelled":
            yield f"`steno retry {job.id}` continues it"
        case _:
            return
