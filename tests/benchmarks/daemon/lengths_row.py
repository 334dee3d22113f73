"""Rows 2, 7 and growth: recordings of any length through the daemon, and through WhisperX in one process.

Runs in: the benchmark.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from recordings import MEMO

from benchmarks.accuracy.scorer import Scorer
from benchmarks.course import Course
from benchmarks.daemon.served_daemon import Passage, served_daemon
from benchmarks.figures import Demand, Section, Series, Table, ratio
from benchmarks.results_page import number
from benchmarks.speech.speech_maker import Recording

ONE_MINUTE, TEN_MINUTES, ONE_HOUR, THREE_HOURS = 60.0, 600.0, 3600.0, 10_800.0
WORDS_TITLE = "10 minutes of speech to words"
MEMORY_TITLE = "A 3-hour recording beside a 10-minute one"
GROWTH_TITLE = "How cost grows with length"
NAMES = {ONE_MINUTE: "1 min", TEN_MINUTES: "10 min", ONE_HOUR: "1 h", THREE_HOURS: "3 h"}
PCM_BYTES_A_SECOND = 32_000
SUPERVISOR_LIMIT_BYTES, WORKER_GROWTH_BYTES = 90_000_000, 150_000_000


@dataclass(frozen=True, slots=True)
class Length:
    """One length, by both. Each has a process that heard nothing longer before."""

    text: str
    passages: tuple[Passage, ...]
    peak_bytes: dict[str, int]
    """Of `supervisor`, `transcriber` and `aligner`."""
    peers: tuple[dict[str, Any], ...]
    """Empty where the peer was not asked."""

    @property
    def times_faster(self) -> float:
        """Than the peer."""
        return ratio([run["seconds"] for run in self.peers], [run.seconds for run in self.passages])


class Lengths:
    """Measured once each, whichever rows want them."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._measured: dict[float, Length] = {}

    @property
    def scorer(self) -> Scorer:
        return self._course.scorer

    def at(self, seconds: float) -> Length:
        if seconds not in self._measured:
            self._measured[seconds] = self._measure(seconds)
        return self._measured[seconds]

    def _measure(self, seconds: float) -> Length:
        course = self._course
        course.say(f" {NAMES[seconds]} of speech")
        recording, runs = course.speech(seconds), course.runs_at(seconds)
        alone = seconds >= ONE_HOUR
        return beside_whisperx(course, recording, course.whisper, runs, threads=None, alone=alone)


def beside_whisperx(
    course: Course,
    recording: Recording,
    model: Path,
    runs: int,
    *,
    threads: int | None,
    alone: bool = False,
    **settings: str,
) -> Length:
    """A recording through a fresh daemon and through WhisperX in one process, in turns; or by the daemon alone.

    `threads` are the daemon's, None for its own choice; `settings` further ones of it.
    """
    with served_daemon(threads, **settings) as daemon:
        daemon.transcribe(MEMO)
        sides: dict[str, Callable[[], Any]] = {"stenod": lambda: daemon.transcribe(recording.path)}
        if alone:
            return Length(recording.text, tuple(course.in_turns(sides, runs)["stenod"]), daemon.peak_bytes(), ())
        with course.peer("whisperx", model=model, alignment_model=course.aligner) as whisperx:
            whisperx.turn(audio=str(MEMO))
            sides["WhisperX"] = lambda: whisperx.turn(audio=str(recording.path))
            answers = course.in_turns(sides, runs)
        return Length(recording.text, tuple(answers["stenod"]), daemon.peak_bytes(), tuple(answers["WhisperX"]))


def words(lengths: Lengths) -> Section:
    """Row 2."""
    found = lengths.at(TEN_MINUTES)
    series = compared(found, lengths.scorer)
    ours, theirs = (one.median for one in series if "error" in one.what)
    return Section(
        title=WORDS_TITLE,
        setting="The daemon (engine whisperx, its own choice of threads, all files written) and "
        "`load_model(…).transcribe(batch_size=8)`, then `align`, in one process that has loaded both; tiny.en in "
        "int8, the starter aligner, language given.",
        series=series,
        demands=(
            Demand("times faster than WhisperX", found.times_faster, "≥", 2, "×"),
            Demand("word error rate above WhisperX's", ours - theirs, "≤", 1, "points"),
        ),
    )


def compared(found: Length, scorer: Scorer, name: str = "") -> tuple[Series, ...]:
    """Both sides' time, processor time and word error rate."""
    sides = {
        "stenod": [(run.seconds, run.cpu_seconds, run.transcript.text) for run in found.passages],
        "WhisperX": [(run["seconds"], run["cpu_seconds"], run["text"]) for run in found.peers],
    }
    errors = {side: tuple(scorer.percent(found.text, text) for _, _, text in runs) for side, runs in sides.items()}
    return (
        *(Series(f"{side}{name}", "s", tuple(run[0] for run in runs)) for side, runs in sides.items()),
        *(
            Series(f"{side}{name}, processor time", "s", tuple(run[1] for run in runs))
            for side, runs in sides.items()
        ),
        *(Series(f"{side}{name}, word error rate", "%", values) for side, values in errors.items()),
    )


def memory(lengths: Lengths) -> Section:
    """Row 7. Linux keeps a process's peak (VmHWM); other systems do not tell it of others."""
    short, long = lengths.at(TEN_MINUTES), lengths.at(THREE_HOURS)
    notes = [f"The 3-hour recording was run {len(long.passages)} time(s), each length in a fresh daemon."]
    if not Path("/proc/self/status").exists():
        notes.append("This system does not tell the peak memory of a process: not measured here.")
    demands = [
        Demand(
            f"{role}'s peak memory above that of 10 minutes",
            long.peak_bytes[role] - short.peak_bytes[role],
            "≤",
            WORKER_GROWTH_BYTES,
            "B",
        )
        for role in ("transcriber", "aligner")
        if short.peak_bytes[role]
    ]
    if long.peak_bytes["supervisor"]:
        demands.append(
            Demand("supervisor's peak memory", long.peak_bytes["supervisor"], "≤", SUPERVISOR_LIMIT_BYTES, "B")
        )
    audio_seconds = long.passages[0].transcript.duration
    spool = max(run.spool_bytes for run in long.passages)
    demands += [
        Demand("PCM spools on disk at most", spool / (audio_seconds * PCM_BYTES_A_SECOND), "≤", 1.01, "×"),
        Demand("spool once it is done", max(run.spool_left_bytes for run in long.passages), "≤", 0, "B"),
    ]
    return Section(
        title=MEMORY_TITLE,
        setting="The daemon as in row 2, a fresh one for each length.",
        demands=tuple(demands),
        tables=(_growth_table(lengths, (TEN_MINUTES, THREE_HOURS)),),
        notes=tuple(notes),
    )


def growth(lengths: Lengths) -> Section:
    """What one minute costs whatever the length, and what grows with it."""
    return Section(
        title=GROWTH_TITLE,
        setting="As in row 2; 1 h was run once, by stenod alone. WhisperX keeps the recording in memory.",
        tables=(_growth_table(lengths, (ONE_MINUTE, TEN_MINUTES, ONE_HOUR)),),
    )


def _growth_table(lengths: Lengths, wanted: tuple[float, ...]) -> Table:
    head = (
        *("length", "stenod", "a minute", "supervisor", "transcriber", "aligner", "spool"),
        *("WhisperX", "a minute", "its memory"),
    )
    return Table(head, tuple(_growth_line(seconds, lengths.at(seconds)) for seconds in wanted))


def _growth_line(seconds: float, found: Length) -> tuple[str, ...]:
    minutes = found.passages[0].transcript.duration / 60
    ours = median(run.seconds for run in found.passages)
    theirs = median(run["seconds"] for run in found.peers) if found.peers else None
    return (
        NAMES[seconds],
        number(ours, "s"),
        number(ours / minutes, "s"),
        *(number(found.peak_bytes[name], "B") for name in ("supervisor", "transcriber", "aligner")),
        number(max(run.spool_bytes for run in found.passages), "B"),
        *(
            ("–", "–", "–")
            if theirs is None
            else (
                number(theirs, "s"),
                number(theirs / minutes, "s"),
                number(max(run["peak_bytes"] for run in found.peers), "B"),
            )
        ),
    )
