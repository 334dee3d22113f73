"""Row 4: the aligner alone, beside `whisperx.align` on the same segments.

Runs in: the benchmark.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contestants.contestant import TEST_PATH, environment_of
from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Series, percentile, series_of, times

TITLE = "The aligner alone, beside `whisperx.align`"
SECONDS = 60.0
OURS, THEIRS = "whisperx aligner", "whisperx.align"
MIDDLE_LIMIT_MS, TAIL_LIMIT_MS, TAIL = 20.0, 40.0, 0.95
WRITE_SECONDS = 300.0
PAUSE_SECONDS = 0.1

Word = dict[str, Any]
Answers = dict[str, list[dict[str, Any]]]


def aligner(course: Course) -> Section:
    audio = course.speech(SECONDS).path
    segments = _segments(course, audio)
    large = _base_size_model(course)
    # Without the file that tells its bias, so that neither side corrects it.
    trained = shutil.copytree(
        course.aligner, course.folder / "aligner", ignore=shutil.ignore_patterns("starter.json")
    )
    large_answers = _compared(course, large, audio, segments)
    trained_answers = _compared(course, trained, audio, segments)
    ours, theirs = (trained_answers[name][0]["words"] for name in (OURS, THEIRS))
    apart = {edge: _differences_ms(ours, theirs, edge) for edge in ("start", "end")}
    both = (*apart["start"], *apart["end"])
    unlike = max(len(ours), len(theirs)) - sum(
        one["word"] == other["word"] for one, other in zip(ours, theirs, strict=False)
    )
    return Section(
        title=TITLE,
        setting=f"{SECONDS / course.shrink:.0f} s of speech in {len(segments)} segments, heard once, given to both. "
        "For speed a wav2vec2 of base size (95 million parameters, random weights); for times the starter aligner "
        "without its correction, so that both sides show the model's own times; edges beside pauses, which we take "
        "from the sound, are left out.",
        series=(
            *series_of(large_answers, "seconds", "s", ", base size"),
            *series_of(large_answers, "cpu_seconds", "s", ", base size, processor time"),
            *series_of(trained_answers, "seconds", "s", ", starter"),
            *(Series(f"word {edge}s apart", "ms", tuple(values)) for edge, values in apart.items()),
        ),
        demands=(
            Demand("times faster than `whisperx.align`", times(large_answers, THEIRS, OURS), "≥", 2, "×"),
            Demand("words that are not the same", unlike, "≤", 0, ""),
            Demand("word edges apart, median", percentile(both, 0.5), "≤", MIDDLE_LIMIT_MS, "ms"),
            Demand("word edges apart, 95th percentile", percentile(both, TAIL), "≤", TAIL_LIMIT_MS, "ms"),
        ),
        notes=("In the lines about words, the runs are the words.",),
    )


def _compared(course: Course, model: Path, audio: Path, segments: Sequence[Any]) -> Answers:
    with course.engine(OURS, model=model) as ours, course.peer(THEIRS, alignment_model=model) as theirs:
        for side in (ours, theirs):
            side.turn(audio=str(audio), segments=segments[:1])
        return course.in_turns(
            {side.name: partial(side.turn, audio=str(audio), segments=segments) for side in (ours, theirs)}
        )


def _segments(course: Course, audio: Path) -> list[dict[str, Any]]:
    """As our transcriber hears them, so that they are what an aligner is given in real life."""
    with course.engine("whisperx engine", model=course.whisper) as engine:
        segments: list[dict[str, Any]] = engine.turn(audio=str(audio))["segments"]
        return segments


def _base_size_model(course: Course) -> Path:
    folder = course.folder / "base-size-aligner"
    subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.engines.random_wav2vec2", str(course.aligner), str(folder)],
        env={**environment_of(course.threads), "PYTHONPATH": TEST_PATH},
        check=True,
        timeout=WRITE_SECONDS,
    )
    return folder


def _differences_ms(ours: Sequence[Word], theirs: Sequence[Word], edge: str) -> list[float]:
    """Between words in the same place that are the same and that both sides gave a time of their own.

    Without the edges beside a pause: `whisperx.align` does not look where the sound ends and begins.
    """
    apart = []
    starts = [one["start"] for one in ours[1:]] + [float("inf")]
    ends = [float("-inf")] + [one["end"] for one in ours[:-1]]
    for one, other, free_from, free_to in zip(ours, theirs, ends, starts, strict=False):
        if one["word"] != other["word"] or edge not in other or one["interpolated"]:
            continue
        room = free_to - one["end"] if edge == "end" else one["start"] - free_from
        if room < PAUSE_SECONDS:
            apart.append(1000 * abs(one[edge] - other[edge]))
    return apart
