"""Every row of the benchmark: its number, its title, and what measures it.

Runs in: the benchmark.
"""

from collections.abc import Callable

from benchmarks.accuracy import accuracy_rows, coverage_rows, word_times_row
from benchmarks.course import Course
from benchmarks.daemon import daemon_rows, lengths_row, memo_row, overlap_row, urgent_row
from benchmarks.engines import (
    aligner_row,
    batched_row,
    mlx_row,
    mlx_windows_row,
    text_speed_rows,
    words_speed_row,
)
from benchmarks.figures import Section

Row = tuple[str, Callable[[], Section]]

OF_THE_STARTERS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "growth")
ON_REAL_SPEECH = (
    "real-1",
    "real-1b",
    "real-2",
    "real-3",
    "real-4",
    "real-6",
    "real-7",
    "real-8",
    "real-9",
    "real-10",
)

ALL = (*OF_THE_STARTERS, *ON_REAL_SPEECH)


def offered_rows(course: Course) -> dict[str, Row]:
    """Number → title and what measures it, in the order of the page; without those that lack their recordings."""
    lengths = lengths_row.Lengths(course)
    return {
        "1": (memo_row.TITLE, lambda: memo_row.memo(course)),
        "2": (lengths_row.WORDS_TITLE, lambda: lengths_row.words(lengths)),
        "3": (overlap_row.TITLE, lambda: overlap_row.overlap(course)),
        "4": (aligner_row.TITLE, lambda: aligner_row.aligner(course)),
        "5": (mlx_row.TITLE, lambda: mlx_row.mlx(course)),
        "6": (daemon_rows.SUPERVISION_TITLE, lambda: daemon_rows.supervised(course)),
        "7": (lengths_row.MEMORY_TITLE, lambda: lengths_row.memory(lengths)),
        "8": (daemon_rows.QUEUE_TITLE, lambda: daemon_rows.crowded(course)),
        "9": (daemon_rows.RESTART_TITLE, lambda: daemon_rows.restarted(course)),
        "10": (batched_row.TITLE, lambda: batched_row.batched(course)),
        "11": (urgent_row.TITLE, lambda: urgent_row.urgent(course)),
        "growth": (lengths_row.GROWTH_TITLE, lambda: lengths_row.growth(lengths)),
        **_rows_on_real_speech(course),
    }


def _rows_on_real_speech(course: Course) -> dict[str, Row]:
    if course.real is None:
        return {}
    hearings = accuracy_rows.Hearings(course)
    rows: dict[str, Row] = {
        "real-1": (accuracy_rows.ENGLISH_TITLE, lambda: accuracy_rows.english(course, hearings)),
        "real-2": (accuracy_rows.MLX_TITLE, lambda: accuracy_rows.with_mlx(course, hearings)),
        "real-6": (text_speed_rows.TITLE, lambda: text_speed_rows.text_speed(course)),
        "real-7": (words_speed_row.TITLE, lambda: words_speed_row.words_speed(course)),
        "real-8": (text_speed_rows.SLOW_TITLE, lambda: text_speed_rows.slow_model(course)),
        "real-9": (mlx_windows_row.TITLE, lambda: mlx_windows_row.mlx_windows(course)),
    }
    if course.real.levels:
        rows["real-1b"] = accuracy_rows.LEVELS_TITLE, lambda: accuracy_rows.levels(course, hearings)
    if course.real.meetings:
        rows["real-3"] = coverage_rows.MEETINGS_TITLE, lambda: coverage_rows.meetings(course)
    if course.real.noises:
        rows["real-4"] = coverage_rows.NOISE_TITLE, lambda: coverage_rows.noise(course)
    if course.real.timed_words:
        rows["real-10"] = word_times_row.TITLE, lambda: word_times_row.word_times(course)
    return {row: rows[row] for row in ON_REAL_SPEECH if row in rows}
