"""Row real-7: words with times, the daemon beside WhisperX as a library, both loaded.

Runs in: the benchmark.
"""

from benchmarks.course import Course
from benchmarks.daemon.lengths_row import beside_whisperx, compared
from benchmarks.figures import Demand, Section, Series

TITLE = "Words with times of 3 and 8 minutes beside WhisperX"
MINUTES = (3, 8)
TIMES_FASTER = 2.2


def words_speed(course: Course) -> Section:
    series: list[Series] = []
    demands: list[Demand] = []
    for minutes in MINUTES:
        recording = course.medley(course.real_speech.english, minutes * 60.0)
        model = course.whisper_base
        found = beside_whisperx(course, recording, model, course.runs, threads=None, STENO_MODEL=str(model))
        series += compared(found, course.scorer, f", {minutes} min")
        cores = tuple(run.cpu_seconds / run.seconds for run in found.passages)
        series.append(Series(f"stenod, {minutes} min, at work", "cores", cores))
        demands.append(
            Demand(f"{minutes} min: times faster than WhisperX", found.times_faster, "≥", TIMES_FASTER, "×")
        )
    return Section(
        title=TITLE,
        setting="As row 2, with clips of real English and whisper base in int8; the daemon's workers share the cores "
        "as they do by themselves.",
        series=tuple(series),
        demands=tuple(demands),
    )
