"""Rows real-1, real-1b and real-2: what is heard wrongly of real speech, and what is not heard at all.

Runs in: the benchmark. Each side hears a recording once: what it hears is the same each time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.scorer import WordErrors
from benchmarks.contestants.contestant import ROOT, Contestant
from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Table
from benchmarks.results_page import number
from benchmarks.speech.speech_maker import Recording
from workers.models.find import find_model

ENGLISH_TITLE = "Words heard wrongly, real English, whisper base"
LEVELS_TITLE = "The same clips at other levels"
MLX_TITLE = "Words heard wrongly by the mlx engine"
THREADS = (1, 2, 4)
OURS = {threads: f"stenod, {threads} thread{'s' if threads > 1 else ''}" for threads in THREADS}
USUAL = OURS[2]
MLX = "stenod, mlx engine"
BATCHED = "batched pipeline, with timestamps"
PLAIN = {
    "faster-whisper, without context": {"beam_size": 5, "condition_on_previous_text": False},
    "faster-whisper, with context": {"beam_size": 5, "condition_on_previous_text": True},
}
PEERS = ("WhisperX", *PLAIN)
"""Those that a person would take for their accuracy."""
PEERS_HEARD = ROOT / ".bench" / "peers-heard"
"""A peer that is pinned hears the same each time: this goes when another one is installed."""
WORSE_THAN_BEST, WORSE_AT_LEVELS, WORSE_WITH_MLX = 0.3, 1.0, 0.5
"""Points of word error rate."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one side made of one recording."""

    text: str
    errors: WordErrors


class Hearings:
    """Each side hears each recording once, whichever rows want it."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._heard: dict[tuple[Path, str], Heard] = {}

    def of(self, recording: Recording, sides: Sequence[str]) -> dict[str, Heard]:
        for side in sides:
            if (recording.path, side) not in self._heard:
                self._course.say(f"  {recording.path.stem}: {side}")
                text = self._text(recording.path, side)
                errors = self._course.scorer.errors(recording.text, text)
                self._heard[recording.path, side] = Heard(text, errors)
        return {side: self._heard[recording.path, side] for side in sides}

    def _text(self, recording: Path, side: str) -> str:
        name = f"{side}-{hashlib.sha256(recording.read_bytes()).hexdigest()[:16]}".replace(" ", "-")
        before = PEERS_HEARD / name
        if side in (*PEERS, BATCHED) and before.exists():
            return before.read_text(encoding="utf-8")
        with _contestant(self._course, side) as listener:
            text: str = listener.turn(audio=str(recording))["text"]
        if side in (*PEERS, BATCHED):
            PEERS_HEARD.mkdir(exist_ok=True)
            before.write_text(text, encoding="utf-8")
        return text


def english(course: Course, hearings: Hearings) -> Section:
    """Row real-1."""
    recording = course.medley(course.real_speech.english)
    heard = hearings.of(recording, (*OURS.values(), *PEERS, BATCHED))
    ours, peers = heard[USUAL].errors, [heard[peer].errors for peer in PEERS]
    texts = {heard[side].text for side in OURS.values()}
    return Section(
        title=ENGLISH_TITLE,
        setting=f"{_length(course, recording)} whisper base in int8, language given, beam 5 on all sides, each in a "
        "process of its own. Words are compared after OpenAI's own normaliser for English (openai-whisper), aligned "
        "by jiwer.",
        demands=(
            Demand(
                "word error rate above the best peer's",
                ours.percent - min(peer.percent for peer in peers),
                *("≤", WORSE_THAN_BEST, "points"),
            ),
            Demand("words deleted more than by the best peer", _more_deleted(ours, peers), "≤", 0, ""),
            Demand("different texts with 1, 2 and 4 threads", len(texts), "≤", 1, ""),
        ),
        tables=(_table(heard),),
    )


def levels(course: Course, hearings: Hearings) -> Section:
    """Row real-1b."""
    real = course.real_speech
    assert real.levels is not None
    as_they_are, at_levels = course.medley(real.english), course.medley(real.levels)
    usual = hearings.of(as_they_are, (USUAL,))[USUAL].errors
    heard = hearings.of(at_levels, (USUAL, *PEERS, BATCHED))
    ours, peers = heard[USUAL].errors, [heard[peer].errors for peer in PEERS]
    return Section(
        title=LEVELS_TITLE,
        setting=f"{_length(course, at_levels)} The clips of row real-1, each as loud as `english_levels.json` says; "
        "all else as there.",
        demands=(
            Demand(
                "word error rate above row real-1's", ours.percent - usual.percent, "≤", WORSE_AT_LEVELS, "points"
            ),
            Demand(
                "word error rate above the best peer's",
                ours.percent - min(peer.percent for peer in peers),
                *("≤", 0, "points"),
            ),
        ),
        tables=(_table(heard),),
    )


def with_mlx(course: Course, hearings: Hearings) -> Section:
    """Row real-2."""
    real = course.real_speech
    recordings = [course.medley(sound) for sound in (real.english, real.levels) if sound is not None]
    heard = {recording.path.stem: hearings.of(recording, (MLX, USUAL)) for recording in recordings}
    return Section(
        title=MLX_TITLE,
        setting="The recordings of rows real-1 and real-1b through the mlx engine, the same weights in float32 on "
        "MLX's CPU backend, float16 on Metal.",
        demands=tuple(
            Demand(
                f"{name}: word error rate above the whisperx engine's",
                sides[MLX].errors.percent - sides[USUAL].errors.percent,
                *("≤", WORSE_WITH_MLX, "points"),
            )
            for name, sides in heard.items()
        ),
        tables=tuple(_table(sides, name) for name, sides in heard.items()),
    )


def _contestant(course: Course, side: str) -> Contestant:
    model = course.whisper_base
    if side == MLX:
        return course.engine("mlx engine", model=find_model(str(model), "mlx", course.folder, False, lambda: None))
    if side == BATCHED:
        settings: dict[str, object] = {"beam_size": 5, "batch_size": 8, "without_timestamps": False}
        return course.peer("BatchedInferencePipeline", model=model, settings=settings)
    if side in PLAIN:
        return course.peer("faster-whisper", model=model, settings=PLAIN[side])
    if side == "WhisperX":
        return course.peer("whisperx", model=model, alignment_model=course.aligner)
    threads = next(threads for threads, name in OURS.items() if name == side)
    return course.engine("whisperx engine", threads=threads, model=model)


def _more_deleted(ours: WordErrors, peers: Sequence[WordErrors]) -> int:
    return ours.deleted - min(peer.deleted for peer in peers)


def _length(course: Course, recording: Recording) -> str:
    words = course.scorer.errors(recording.text, recording.text).words
    return f"{recording.seconds:.0f} s of {recording.path.stem.partition('-')[0]}, {words} words;"


def _table(heard: Mapping[str, Heard], name: str = "") -> Table:
    head = (name, "word error rate", "deleted", "substituted", "inserted")
    return Table(head, tuple(_line(side, one) for side, one in heard.items()))


def _line(side: str, heard: Heard) -> tuple[str, ...]:
    errors = heard.errors
    counts = (errors.deleted, errors.substituted, errors.inserted)
    return (side, number(errors.percent, "%"), *map(str, counts))
