"""Rows real-3 and real-4: speech that nothing was made of, and text where nobody speaks.

Runs in: the benchmark.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.contestants.contestant import Contestant
from benchmarks.course import Course
from benchmarks.figures import Demand, Section, Table
from benchmarks.results_page import number
from benchmarks.speech.speech_folder import Meeting, joined, outside

MEETINGS_TITLE = "Speech of meetings that is in no chunk"
NOISE_TITLE = "Text where nobody speaks"
MOST_MISSED_PERCENT, MOST_UNTOLD_PERCENT, MOST_INVENTED = 3, 1, 1
EDGE_SECONDS = 0.25
"""Around what has text and what is told: who wrote down when somebody speaks rounded, too."""
FASTER_WHISPER = {"beam_size": 5, "condition_on_previous_text": False}
BATCHED = {"beam_size": 5, "batch_size": 8, "without_timestamps": False}


def meetings(course: Course) -> Section:
    """Row real-3."""
    real = course.real_speech
    with course.engine("whisperx engine", model=course.whisper_base) as engine:
        lines = [_Line(meeting, engine.turn(audio=str(meeting.sound))) for meeting in course.some(real.meetings)]
    spoken, missed, silent = (sum(getattr(line, what) for line in lines) for what in ("spoken", "missed", "silent"))
    return Section(
        title=MEETINGS_TITLE,
        setting="Recordings of meetings with several speakers, and when one of them speaks (RTTM); whisper base. A "
        "chunk is what the engine is given to transcribe; unheard is what stenod says was audible and gave no text.",
        demands=(
            Demand("reference speech in no chunk", 100 * missed / spoken, "≤", MOST_MISSED_PERCENT, "%"),
            Demand(
                "reference speech with no text and not told", 100 * silent / spoken, "≤", MOST_UNTOLD_PERCENT, "%"
            ),
        ),
        tables=(
            Table(
                ("", "speech", "in no chunk", "in no segment", "unheard", "in neither", "words"),
                tuple(line.cells() for line in lines),
            ),
        ),
    )


class _Line:
    """What became of one meeting's speech, in seconds."""

    def __init__(self, meeting: Meeting, answer: dict[str, Any]) -> None:
        chunks = joined([(start, end) for start, end in answer["chunks"]])
        segments = joined([(segment["start"], segment["end"]) for segment in answer["segments"]])
        unheard = joined([(stretch["start"], stretch["end"]) for stretch in answer["unheard"]])
        self.name = meeting.sound.stem
        self.spoken = sum(end - start for start, end in meeting.spoken)
        self.missed = outside(meeting.spoken, chunks)
        self.textless = outside(meeting.spoken, segments)
        self.unheard = sum(end - start for start, end in unheard)
        told = [(start - EDGE_SECONDS, end + EDGE_SECONDS) for start, end in (*segments, *unheard)]
        self.silent = outside(meeting.spoken, joined(told))
        self.words = len(answer["text"].split())

    def cells(self) -> tuple[str, ...]:
        seconds = (self.spoken, self.missed, self.textless, self.unheard, self.silent)
        return self.name, *(number(value, "s") for value in seconds), str(self.words)


def noise(course: Course) -> Section:
    """Row real-4."""
    noises, base = course.some(course.real_speech.noises), course.whisper_base
    sides: dict[str, Callable[[], Contestant]] = {
        "stenod": lambda: course.engine("whisperx engine", model=base),
        "WhisperX": lambda: course.peer("whisperx", model=base, alignment_model=course.aligner),
        "faster-whisper": lambda: course.peer("faster-whisper", model=base, settings=FASTER_WHISPER),
        "batched pipeline": lambda: course.peer("BatchedInferencePipeline", model=base, settings=BATCHED),
    }
    said: dict[str, dict[str, str]] = {}
    for side, start in sides.items():
        course.say(f"  {side}")
        with start() as listener:
            said[side] = {noise.stem: listener.turn(audio=str(noise))["text"].strip() for noise in noises}
    invented = {side: sum(map(bool, texts.values())) for side, texts in said.items()}
    return Section(
        title=NOISE_TITLE,
        setting=f"{len(noises)} recordings in which nobody speaks; whisper base in int8, language given.",
        demands=(Demand("recordings with text, of stenod", invented["stenod"], "≤", MOST_INVENTED, ""),),
        tables=(
            Table(
                ("", *said),
                tuple((noise.stem, *(texts[noise.stem] for texts in said.values())) for noise in noises),
            ),
        ),
    )
