"""Row 5: the mlx engine beside `mlx_whisper.transcribe`.

Runs in: the benchmark.
"""

from functools import partial
from statistics import median

from recordings import MEMO

from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Series, series_of, times
from workers.models.find import find_model

TITLE = "The mlx engine beside `mlx_whisper.transcribe`"
SECONDS = 90.0
"""On a processor alone both sides take about as long as the speech does."""
OURS, THEIRS, AS_IT_COMES = "mlx engine", "mlx_whisper", "mlx_whisper, its default settings"
NO_GPU = " The demand for a GPU with MLX (≥ 4 × faster) could not be measured here."
INDEPENDENT = {"condition_on_previous_text": False}
"""Windows that do not lean on the text before them, as ours do not."""


def mlx(course: Course) -> Section:
    recording = course.speech(SECONDS)
    audio = str(recording.path)
    model = find_model("starter", "mlx", course.folder, False, lambda: None)
    with course.engine(OURS, model=model) as ours, course.peer(THEIRS, model=model) as theirs:
        device = ours.turn(audio=str(MEMO))["device"]
        theirs.turn(audio=str(MEMO), settings=INDEPENDENT)
        answers = course.in_turns(
            {OURS: partial(ours.turn, audio=audio), THEIRS: partial(theirs.turn, audio=audio, settings=INDEPENDENT)}
        )
        answers |= course.in_turns({AS_IT_COMES: partial(theirs.turn, audio=audio, settings={})}, runs=1)
    errors = {
        name: tuple(course.scorer.percent(recording.text, run["text"]) for run in runs)
        for name, runs in answers.items()
    }
    return Section(
        title=TITLE,
        setting=f"{recording.seconds:.0f} s of speech, each side in a process of its own, from the "
        "file to the text; tiny.en, converted once, language given, float32 on MLX's CPU backend, float16 on Metal. "
        "mlx_whisper with `condition_on_previous_text=False`, as stenod decodes, and once as it comes. A step is one "
        "call of the decoder, however large its batch.",
        series=(
            *series_of(answers, "seconds", "s"),
            *series_of(answers, "cpu_seconds", "s", ", processor time"),
            *series_of(answers, "decoder_steps", "", ", decoder steps"),
            *(Series(f"{name}, word error rate", "%", values) for name, values in errors.items()),
        ),
        demands=(
            Demand("times what mlx_whisper takes", times(answers, OURS, THEIRS), "≤", 1.0, "×"),
            Demand("times its decoder steps", times(answers, OURS, THEIRS, "decoder_steps"), "≤", 0.25, "×"),
            Demand("word error rate above its", median(errors[OURS]) - median(errors[THEIRS]), "≤", 0, "points"),
        ),
        notes=(f"MLX computed on: {device}.{NO_GPU if device == 'cpu' else ''}",),
    )
