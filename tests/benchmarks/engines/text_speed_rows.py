"""Rows real-6 and real-8: the text alone against the pipeline under WhisperX, and how many cores work on it.

Runs in: the benchmark.
"""

import shutil
from functools import partial
from statistics import median
from typing import Any

from recordings import MEMO

from benchmarks.course import Course
from benchmarks.engines.larger_whisper import write_larger_whisper
from benchmarks.figures import Demand, Section, Series, series_of, times

TITLE = "Text of 1, 3 and 8 minutes beside `BatchedInferencePipeline`"
SLOW_TITLE = "Cores at work with a model as slow as medium"
MINUTES, SLOW_MINUTES = (1, 3, 8), 2
OURS, THEIRS = "whisperx engine", "BatchedInferencePipeline"
TIMES_FASTER, LEAST_CORES = 1.3, 1.7
SETTINGS = {"beam_size": 5, "batch_size": 8, "without_timestamps": False}
"""As our engine asks for it, so that both decode the same tokens."""


def text_speed(course: Course) -> Section:
    """Row real-6."""
    series: list[Series] = []
    demands: list[Demand] = []
    with (
        course.engine(OURS, model=course.whisper_base) as ours,
        course.peer(THEIRS, model=course.whisper_base, settings=SETTINGS) as theirs,
    ):
        for side in (ours, theirs):
            side.turn(audio=str(MEMO))
        for minutes in MINUTES:
            recording = course.medley(course.real_speech.english, minutes * 60.0)
            answers = course.in_turns(
                {side.name: partial(side.turn, audio=str(recording.path)) for side in (ours, theirs)}
            )
            name = f", {minutes} min"
            errors = {
                side: [course.scorer.percent(recording.text, one["text"]) for one in given]
                for side, given in answers.items()
            }
            series += series_of(answers, "seconds", "s", name)
            series += (
                Series(f"{side}{name}, at work", "cores", cores_used(given)) for side, given in answers.items()
            )
            series += (Series(f"{side}{name}, word error rate", "%", tuple(of)) for side, of in errors.items())
            demands += (
                Demand(f"{minutes} min: times faster", times(answers, THEIRS, OURS), "≥", TIMES_FASTER, "×"),
                Demand(f"{minutes} min: at work", median(cores_used(answers[OURS])), "≥", LEAST_CORES, "cores"),
            )
    return Section(
        title=TITLE,
        setting="Clips of real English, each side in a process of its own, from the file to the text; whisper base "
        "in int8, beam 5, with timestamps, language given. Cores at work: processor time by time on the clock.",
        series=tuple(series),
        demands=tuple(demands),
    )


def slow_model(course: Course) -> Section:
    """Row real-8."""
    recording = course.medley(course.real_speech.english, SLOW_MINUTES * 60.0)
    model = course.folder / "medium-size"
    write_larger_whisper(course.whisper_base, model)
    with course.engine(OURS, model=model) as ours:
        ours.turn(audio=str(MEMO))
        answers = course.in_turns({OURS: partial(ours.turn, audio=str(recording.path))})
    shutil.rmtree(model)
    cores = cores_used(answers[OURS])
    errors = tuple(course.scorer.percent(recording.text, one["text"]) for one in answers[OURS])
    return Section(
        title=SLOW_TITLE,
        setting=f"{recording.seconds:.0f} s of real English through whisper base, grown to the size of medium: it "
        "hears what base hears, and costs what medium costs. int8, beam 5, language given.",
        series=(
            *series_of(answers, "seconds", "s"),
            Series(f"{OURS}, at work", "cores", cores),
            Series(f"{OURS}, word error rate", "%", errors),
        ),
        demands=(Demand("at work", median(cores), "≥", LEAST_CORES, "cores"),),
    )


def cores_used(answers: list[dict[str, Any]]) -> tuple[float, ...]:
    return tuple(answer["cpu_seconds"] / answer["seconds"] for answer in answers)
