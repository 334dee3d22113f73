"""Row 10: the whisperx engine beside the pipeline it is built on.

Runs in: the benchmark.
"""

from functools import partial

from recordings import MEMO

from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Series, series_of, times

TITLE = "The whisperx engine beside `BatchedInferencePipeline`"
SECONDS = 600.0
OURS, THEIRS = "whisperx engine", "BatchedInferencePipeline"


def batched(course: Course) -> Section:
    recording = course.speech(SECONDS)
    with course.engine(OURS, model=course.whisper) as ours:
        batch_size = ours.turn(audio=str(MEMO))["batch_size"]
        # As our engine asks for it, so that both decode the same tokens.
        settings = {"beam_size": 5, "batch_size": batch_size, "without_timestamps": False}
        with course.peer(THEIRS, model=course.whisper, settings=settings) as theirs:
            theirs.turn(audio=str(MEMO))
            answers = course.in_turns(
                {side.name: partial(side.turn, audio=str(recording.path)) for side in (ours, theirs)}
            )
    errors = {
        name: tuple(course.scorer.percent(recording.text, run["text"]) for run in runs)
        for name, runs in answers.items()
    }
    return Section(
        title=TITLE,
        setting="10 minutes of speech, each side in a process of its own, from the file to the text; tiny.en in "
        f"int8, beam 5, batches of {batch_size}, with timestamps, language given.",
        series=(
            *series_of(answers, "seconds", "s"),
            *series_of(answers, "cpu_seconds", "s", ", processor time"),
            *(Series(f"{name}, word error rate", "%", values) for name, values in errors.items()),
        ),
        demands=(Demand("times what the pipeline takes", times(answers, OURS, THEIRS), "≤", 1.05, "×"),),
    )
