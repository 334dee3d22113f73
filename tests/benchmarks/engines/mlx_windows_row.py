"""Row real-9: the mlx engine beside `mlx_whisper.transcribe` on real speech: seconds of sound encoded, and time.

Runs in: the benchmark.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recordings import MEMO

from benchmarks.contestants.contestant import Contestant
from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Series, ratio
from workers.models.find import find_model

TITLE = "The mlx engine beside `mlx_whisper.transcribe`, real speech"
MINUTES = 2
"""On a processor alone both sides take about as long as the speech does."""
OURS, THEIRS = "mlx engine", "mlx_whisper"
INDEPENDENT = {"condition_on_previous_text": False}
MOST_WINDOW, MOST_TIME = 1.15, 0.6


def mlx_windows(course: Course) -> Section:
    real = course.real_speech
    materials = {"english": [course.medley(real.english, MINUTES * 60.0).path]}
    if real.meetings:
        materials["meetings"] = [meeting.sound for meeting in course.some(real.meetings)]
    model = find_model(str(course.whisper_base), "mlx", course.folder, False, lambda: None)
    series: list[Series] = []
    demands: list[Demand] = []
    with course.engine(OURS, model=model) as ours, course.peer(THEIRS, model=model) as theirs:
        device = ours.turn(audio=str(MEMO))["device"]
        theirs.turn(audio=str(MEMO), settings=INDEPENDENT)
        for name, sounds in materials.items():
            sides: dict[str, Callable[[], dict[str, float]]] = {
                OURS: partial(_through, ours, sounds),
                THEIRS: partial(_through, theirs, sounds, settings=INDEPENDENT),
            }
            answers = course.in_turns(sides, None if name == "english" else 1)
            chunks = answers[OURS][0]["chunk_seconds"]
            for side, given in answers.items():
                series.append(Series(f"{side}, {name}", "s", tuple(one["seconds"] for one in given)))
                encoded = tuple(one["encoded_seconds"] for one in given)
                series.append(Series(f"{side}, {name}, sound encoded", "s", encoded))
            series.append(Series(f"{name}, speech found by stenod", "s", (chunks,)))
            window = answers[OURS][0]["encoded_seconds"] / chunks if chunks else 0.0
            times = ratio([one["seconds"] for one in answers[OURS]], [one["seconds"] for one in answers[THEIRS]])
            demands += (
                Demand(f"{name}: encoded a second of speech", window, "≤", MOST_WINDOW, "s"),
                Demand(f"{name}: times what mlx_whisper takes", times, "≤", MOST_TIME, "×"),
            )
    return Section(
        title=TITLE,
        setting=f"{MINUTES} minutes of English clips, and the meetings one after the other, heard once: mlx_whisper "
        "goes round in circles on them for a quarter of an hour; whisper base, converted once, language given, "
        "float32 on MLX's CPU backend, float16 on Metal; each side in a process of its own, from the file to the "
        "text. mlx_whisper with `condition_on_previous_text=False`, as stenod decodes. Sound encoded includes the "
        "silence that pads it.",
        series=tuple(series),
        demands=tuple(demands),
        notes=(f"MLX computed on: {device}.",),
    )


def _through(side: Contestant, sounds: Sequence[Path], **asked: Any) -> dict[str, float]:
    """One recording after the other; the sums of what that took."""
    answers = [side.turn(audio=str(sound), **asked) for sound in sounds]
    return {
        "seconds": sum(answer["seconds"] for answer in answers),
        "encoded_seconds": sum(answer["encoded_seconds"] for answer in answers),
        "chunk_seconds": sum(end - start for answer in answers for start, end in answer.get("chunks", ())),
    }
