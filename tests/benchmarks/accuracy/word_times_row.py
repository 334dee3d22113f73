"""Row real-10: when words begin and end, against recordings whose words have known edges.

Runs in: the benchmark. Each side times a recording once: it gives the same times each time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from recordings import MEMO

from benchmarks.course import Course
from benchmarks.daemon.served_daemon import served_daemon
from benchmarks.figures import Demand, Section, Table, percentile
from benchmarks.results_page import number
from benchmarks.speech.speech_folder import TimedWord, TimedWords

TITLE = "When words begin and end"
STARTER, MLX, WHISPERX = "stenod, aligner whisperx (starter)", "stenod, aligner mlx (whisper base)", "WhisperX"
EXACT = "synthetic"
"""The recording whose edges are known to the sample; those of all others are as good as the ear that found them."""
TAIL, LATE_MS = 0.95, 200.0


@dataclass(frozen=True, slots=True)
class Edges:
    """How far off one side's words are, in ms; later than in truth is above 0."""

    known: int
    """Words of the recording."""
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    starts_after_pauses: tuple[float, ...]
    ends_before_pauses: tuple[float, ...]

    @property
    def start_median(self) -> float:
        return median(map(abs, self.starts))

    @property
    def start_tail(self) -> float:
        return percentile([abs(one) for one in self.starts], TAIL)

    @property
    def end_tail(self) -> float:
        return percentile([abs(one) for one in self.ends], TAIL)

    @property
    def end_before_pause_median(self) -> float:
        return median(map(abs, self.ends_before_pauses))

    @property
    def around_pauses_median(self) -> float:
        return median(map(abs, (*self.starts_after_pauses, *self.ends_before_pauses)))

    @property
    def late_percent(self) -> float:
        """Ends before a pause that come more than 200 ms too late."""
        return 100 * sum(late > LATE_MS for late in self.ends_before_pauses) / len(self.ends_before_pauses)


def word_times(course: Course) -> Section:
    recordings = course.some(course.real_speech.timed_words)
    base = str(course.whisper_base)
    said: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
    for side, settings in {
        STARTER: {},
        MLX: {"ALIGNMENT_BACKEND": "mlx", "STENO_ALIGNMENT_MODEL": base},
    }.items():
        with served_daemon(None, STENO_MODEL=base, **settings) as daemon:
            for recording in recordings:
                course.say(f"  {recording.name}: {side}")
                words = daemon.transcribe(recording.sound).transcript.word_segments
                said[recording.name, side] = [word.model_dump() for word in words]
    with course.peer("whisperx", model=course.whisper_base, alignment_model=course.aligner) as whisperx:
        whisperx.turn(audio=str(MEMO))
        for recording in recordings:
            course.say(f"  {recording.name}: {WHISPERX}")
            said[recording.name, WHISPERX] = whisperx.turn(audio=str(recording.sound))["words"]
    found = {
        (recording.name, side): _edges(course, recording, said[recording.name, side])
        for recording in recordings
        for side in (STARTER, MLX, WHISPERX)
    }
    return Section(
        title=TITLE,
        setting="From the file to the words with whisper base in int8: the daemon with each of its aligners, and "
        "WhisperX with the starter aligner. Words that were heard rightly are compared. A pause is 0.3 s or more.",
        demands=tuple(demand for recording in recordings for demand in _demands(recording.name, found)),
        tables=(_table(found),),
    )


def _edges(course: Course, recording: TimedWords, said: Sequence[Mapping[str, Any]]) -> Edges:
    pairs = course.scorer.same_words([word.word for word in recording.words], [word["word"] for word in said])
    return edges_of([(recording.words[one], said[other]) for one, other in pairs], len(recording.words))


def edges_of(pairs: Iterable[tuple[TimedWord, Mapping[str, Any]]], known: int) -> Edges:
    """`pairs` are the same word in truth and as it was timed."""
    pairs = list(pairs)

    def late(edge: str, of: Iterator[tuple[TimedWord, Mapping[str, Any]]]) -> tuple[float, ...]:
        return tuple(1000 * (timed[edge] - getattr(truth, edge)) for truth, timed in of)

    return Edges(
        known,
        late("start", iter(pairs)),
        late("end", iter(pairs)),
        late("start", (pair for pair in pairs if pair[0].after_pause)),
        late("end", (pair for pair in pairs if pair[0].before_pause)),
    )


def _demands(name: str, found: Mapping[tuple[str, str], Edges]) -> Iterator[Demand]:
    starter, mlx = found[name, STARTER], found[name, MLX]
    if name == EXACT:
        yield Demand(f"{name}: starts, median", starter.start_median, "≤", 25, "ms")
        yield Demand(f"{name}: starts, 95th percentile", starter.start_tail, "≤", 60, "ms")
        yield Demand(f"{name}: ends, 95th percentile", starter.end_tail, "≤", 100, "ms")
        yield Demand(f"{name}: ends before a pause over 200 ms late", starter.late_percent, "≤", 5, "%")
    else:
        yield Demand(f"{name}: starts, 95th percentile", starter.start_tail, "≤", 80, "ms")
        yield Demand(f"{name}: ends before a pause, median", starter.end_before_pause_median, "≤", 60, "ms")
        yield Demand(f"{name}: starts, 95th percentile, mlx", mlx.start_tail, "≤", 180, "ms")
        yield Demand(f"{name}: around pauses, median, mlx", mlx.around_pauses_median, "≤", 60, "ms")


def _table(found: Mapping[tuple[str, str], Edges]) -> Table:
    head = (
        *("", "", "words compared", "starts, median", "95th percentile", "ends, 95th percentile"),
        *("ends before a pause, median", "over 200 ms late", "around pauses, median"),
    )
    return Table(
        head,
        tuple(
            (
                *(name, side, f"{len(edges.starts)} of {edges.known}"),
                *(number(value, "ms") for value in (edges.start_median, edges.start_tail, edges.end_tail)),
                number(edges.end_before_pause_median, "ms"),
                number(edges.late_percent, "%"),
                number(edges.around_pauses_median, "ms"),
            )
            for (name, side), edges in found.items()
        ),
    )
