"""Engines whose answer is a pure function of the sound, so that every result can be checked.

Runs in: worker. Named by import path, `chaos.daemon.stub_engines:StubTranscriber`; tests/ is on the path.

Environment:
  STUB_POISON=FILE   texts, one a line: a chunk or segment that says one of them ends the process by SIGSEGV
  STUB_DOWN=FILE     while it is there, MoodyAligner cannot be loaded
  STUB_SAYS=FILE     what SayingTranscriber says
  STUB_PACE=S        seconds that each chunk or segment takes
  STUB_HANGS=FILE    a line for every hang: the time of day, in seconds
  STUB_HUNGER=FOLDER a file in it called like the worker's role holds a number of bytes, which that worker takes, once
"""

import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fake_engines import (
    WORDS,
    EchoAligner,
    EchoTranscriber,
    hang_holding_the_gil,
    hang_in_python,
    segfault,
    stop_self,
    the_pipe,
)

from ipc.transcript import Segment, Word
from ipc.worker_messages import WorkerSetup
from workers.engine import Audio, Chunk, DecodeOptions, Downloading, EngineRefusal, LoadedEngine, RawSegment

WORDS_A_CHUNK = 8
"""Of ten each: no two of a run's chunks say the same."""


def text_of(audio: Audio) -> str:
    """Chosen by a digest of the samples as they stood in the file; none twice in a row, which would be a loop."""
    samples = np.round(audio * 32768).astype("<i2").tobytes()
    said: list[str] = []
    for byte in hashlib.sha256(samples).digest()[:WORDS_A_CHUNK]:
        others = [word for word in WORDS if word not in said[-1:]]
        said.append(others[byte % len(others)])
    return " ".join(said)


def work_at(text: str) -> None:
    """What one chunk or segment costs."""
    time.sleep(float(os.environ.get("STUB_PACE", "0")))
    poison = os.environ.get("STUB_POISON")
    if poison is not None and text in Path(poison).read_text().splitlines():
        segfault()
    hunger = os.environ.get("STUB_HUNGER")
    if hunger is not None:
        eat(Path(hunger) / multiprocessing.current_process().name.removeprefix("stenod-"))


def eat(meal: Path) -> None:
    """Takes and touches so much memory; whether that ends well or not, the file is gone."""
    with contextlib.suppress(FileNotFoundError):
        size = int(meal.read_text())
        meal.unlink()
        assert b"\1" * size


class StubTranscriber(EchoTranscriber):
    """One segment a chunk."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        heard = []
        for chunk in chunks:
            text = text_of(chunk.audio)
            work_at(text)
            heard.append([RawSegment(chunk.start, chunk.end, text, -0.1, 0.01)])
        return heard


class SayingTranscriber(StubTranscriber):
    """Says what the JSON list in STUB_SAYS has for each chunk, in order."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        says = json.loads(Path(os.environ["STUB_SAYS"]).read_text())
        length = float(os.environ["FAKE_CHUNK_SECONDS"])
        return [[RawSegment(one.start, one.end, says[round(one.start / length)], -0.1, 0.01)] for one in chunks]


class StubAligner(EchoAligner):
    """The segment's words, evenly spread."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        work_at(segment.text)
        return super().align(audio, segment, language)


def is_struck(text: str) -> bool:
    """Whether a segment is one of those 30 % on which the aligners below fail."""
    return hashlib.sha256(text.encode()).digest()[0] < 0.3 * 256


class DyingAligner(StubAligner):
    """Dies on some segments, whenever it sees them."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        if is_struck(segment.text):
            segfault()
        return super().align(audio, segment, language)


class NanAligner(StubAligner):
    """Gives times that are no numbers, as WhisperX does where it finds no path."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        words = super().align(audio, segment, language)
        if not is_struck(segment.text):
            return words
        return tuple(Word.model_construct(**word.model_dump() | {"start": math.nan}) for word in words)


class ForgetfulAligner(StubAligner):
    """Drops words."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        words = super().align(audio, segment, language)
        return words[1:] if is_struck(segment.text) else words


class ForeignAligner(StubAligner):
    """Knows no language."""

    def check(self, language: str) -> None:
        raise EngineRefusal(f"no_alignment_model:{language}", f"nobody can time {language}", "none")


def is_down() -> bool:
    """Whether STUB_DOWN names a file that is there."""
    return Path(os.environ["STUB_DOWN"]).exists()


class MoodyAligner(StubAligner):
    """Dies while loading as long as it is down."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        if is_down():
            segfault()
        return super().load(setup, downloading)


class MoodyTranscriber(StubTranscriber):
    """The same."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        if is_down():
            segfault()
        return super().load(setup, downloading)


class StuckTranscriber(StubTranscriber):
    """Never done loading as long as it is down."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        if is_down():
            hang_in_python()
        return super().load(setup, downloading)


def hang(how: Callable[[], object]) -> None:
    """Says when it begins."""
    with Path(os.environ["STUB_HANGS"]).open("a") as hangs:
        hangs.write(f"{time.time()}\n")
    how()


def _hanging(how: Callable[[], object]) -> tuple[type[StubTranscriber], type[StubAligner]]:
    """Engines that hang at their first chunk or segment."""

    class HangingTranscriber(StubTranscriber):
        def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
            hang(how)
            return super().transcribe(chunks, wanted)

    class HangingAligner(StubAligner):
        def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
            hang(how)
            return super().align(audio, segment, language)

    return HangingTranscriber, HangingAligner


NativeHangTranscriber, NativeHangAligner = _hanging(hang_holding_the_gil)
PythonHangTranscriber, PythonHangAligner = _hanging(hang_in_python)
StoppedTranscriber, StoppedAligner = _hanging(stop_self)


class UnknownModelTranscriber(StubTranscriber):
    """Refuses its model as long as it is down."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        if is_down():
            raise EngineRefusal("unknown_model", "there is no such model", "name another in config.toml")
        return super().load(setup, downloading)


class TearingTranscriber(StubTranscriber):
    """Announces a frame of 1 MiB, sends as many bytes of it as the file named by its model says, and ends, once."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        self.told = Path(setup.model or "")
        return super().load(setup.model_copy(update={"model": None}), downloading)

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        if self.told.exists():
            size, how = self.told.read_text().split()
            self.told.unlink()
            frame = struct.pack("!i", 1 << 20) + b" " * int(size)
            descriptor = the_pipe().fileno()
            while frame:
                frame = frame[os.write(descriptor, frame) :]
            os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)
        return super().transcribe(chunks, wanted)
