"""Row 3: what alignment costs a job, and what is still to do once its last segment is transcribed.

Runs in: the benchmark.
"""

from recordings import MEMO

from benchmarks.course import Course
from benchmarks.daemon.served_daemon import served_daemon
from benchmarks.figures import Demand, Section, Series, ratio

TITLE = "Alignment hidden behind transcription"
SECONDS = 600.0
THREADS = 2
"""One for each worker."""
REST_SECONDS, REST_SHARE = 1.0, 0.05


def overlap(course: Course) -> Section:
    recording = course.speech(SECONDS).path
    with served_daemon(THREADS) as daemon:
        daemon.transcribe(MEMO)
        answers = course.in_turns(
            {
                "with words": lambda: daemon.transcribe(recording, "subtitle"),
                "without (`--workflow transcribe`)": lambda: daemon.transcribe(recording, "transcribe"),
            }
        )
    (_, timed), (_, plain) = answers.items()
    rests = [run.seconds_after_last_segment for run in timed]
    allowed = max(REST_SECONDS, REST_SHARE * min(run.seconds for run in timed))
    return Section(
        title=TITLE,
        setting="10 minutes of speech through one daemon, one thread a worker; tiny.en in int8, the starter aligner.",
        series=(
            *(Series(name, "s", tuple(run.seconds for run in runs)) for name, runs in answers.items()),
            *(
                Series(f"{name}, processor time", "s", tuple(run.cpu_seconds for run in runs))
                for name, runs in answers.items()
            ),
            Series("after the last segment, until the files are there", "s", tuple(rests)),
        ),
        demands=(
            Demand(
                "times what it takes without alignment",
                ratio([run.seconds for run in timed], [run.seconds for run in plain]),
                *("≤", 1.10, "×"),
            ),
            Demand("after the last segment, at worst", max(rests), "≤", allowed, "s"),
        ),
    )
