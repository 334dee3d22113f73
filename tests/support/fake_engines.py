"""Engines that need no model, and engines that misbehave on purpose, for the real worker shell.

Runs in: worker. Named by import path, `fake_engines:EchoTranscriber`; tests/ is on the path of spawned children.

`setup.model` configures an engine, as `key=value,key=value`; any other text is ignored:
  pace=S      seconds each chunk or segment takes
  load=S      seconds loading takes
  at=N        the chunk or segment, counted from 0 over the process's life, at which it misbehaves (default 0)
Environment, for tests with a whole daemon:
  FAKE_CHUNK_SECONDS=S  length of the chunks, all of them speech: no Silero
  FAKE_CRASHES=FILE     CrashTimes counts there; it crashes while the file's number is above 0, and lowers it
"""

import ctypes
import faulthandler
import gc
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np

from ipc.transcript import Segment, Word
from ipc.vocabulary import Task
from ipc.worker_messages import WorkerSetup
from workers.engine import Audio, Chunk, DecodeOptions, Downloading, EngineRefusal, LoadedEngine, RawSegment
from workers.pcm.pcm_file import PcmFile
from workers.speech import chunks as speech

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
POISON = "poison"
"""A segment whose text holds this word kills PoisonAligner."""


def _fixed_chunks(
    pcm: PcmFile, start_at_seconds: float, step: Callable[[float], None] = lambda done_seconds: None
) -> Iterator[Chunk]:
    length = float(os.environ["FAKE_CHUNK_SECONDS"])
    start = start_at_seconds
    while start < pcm.seconds - 0.01:
        yield Chunk(start=start, audio=pcm.audio(start, min(start + length, pcm.seconds)))
        step(start)
        start += length


if "FAKE_CHUNK_SECONDS" in os.environ and "multiprocessing.spawn" in sys.modules:
    speech.find_chunks = _fixed_chunks


def text_of(audio: Audio) -> str:
    """A pure function of the sound: four words chosen by its samples."""
    number = int(np.abs(np.round(audio * 32768)).astype(np.int64).sum())
    return " ".join(WORDS[number // 10**place % 10] for place in range(4))


# --- ways to misbehave -------------------------------------------------------------------------------------------


def segfault() -> NoReturn:
    faulthandler._sigsegv()  # type: ignore[attr-defined]
    raise AssertionError("survived SIGSEGV")


def kill_self() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


def abort_self() -> NoReturn:
    os.abort()


def exit_zero() -> NoReturn:
    os._exit(0)


def stop_self() -> None:
    """SIGSTOP: alive, but makes no progress."""
    os.kill(os.getpid(), signal.SIGSTOP)


def hang_in_python() -> NoReturn:
    while True:
        time.sleep(60.0)


def hang_holding_the_gil() -> NoReturn:
    """Native code that never returns and lets no other Python thread run."""
    native = ctypes.PyDLL(None)
    while True:
        # A signal with a handler ends the sleep early.
        native.sleep(3600)


def hang_deaf_to_sigterm() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang_holding_the_gil()


def run_out_of_memory() -> NoReturn:
    raise MemoryError


def run_out_of_memory_in_other_words() -> NoReturn:
    raise RuntimeError("can't start new thread")


def the_pipe() -> Connection:
    gc.unfreeze()  # what a worker has from its start is on no list
    return next(thing for thing in gc.get_objects() if isinstance(thing, Connection) and not thing.closed)


def speak_garbage() -> NoReturn:
    """A frame that is not JSON, then silence."""
    the_pipe().send_bytes(b"\x00\xffnot a message")
    hang_in_python()


def tear_a_frame() -> NoReturn:
    """Announce 1 MB, send a little of it, then stop with SIGSTOP."""
    os.write(the_pipe().fileno(), b"\x00\x10\x00\x00" + b"{" * 100)
    os.kill(os.getpid(), signal.SIGSTOP)
    hang_in_python()


# --- the engines -------------------------------------------------------------------------------------------------


class _Fake:
    """Shared by both roles: reads `setup.model` and misbehaves at the configured chunk or segment."""

    batch_size = 1
    shows_life = False
    misbehave: Callable[[], object] | None = None
    on_load = False

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """Immediate, unless `load` sets the seconds."""
        told = dict(part.split("=", 1) for part in (setup.model or "").split(",") if "=" in part)
        self.pace_seconds = float(told.get("pace", 0.0))
        self.misbehave_at = int(told.get("at", 0))
        self.misbehaves_now = Path(told["mark"]) if "mark" in told else None
        self.done = 0
        time.sleep(float(told.get("load", 0.0)))
        misbehave = type(self).misbehave
        if self.on_load and misbehave is not None:
            misbehave()
        return LoadedEngine(model=setup.model or "fake", device="cpu", versions={"fake": "1"})

    def rest(self) -> None:
        """Nothing to give back."""

    def work(self) -> None:
        """One chunk's or segment's worth."""
        time.sleep(self.pace_seconds)
        self.done += 1
        misbehave = type(self).misbehave
        if misbehave is not None and not self.on_load and self.done > self.misbehave_at:
            if self.misbehaves_now is not None:
                self.misbehaves_now.touch()
            misbehave()


class EchoTranscriber(_Fake):
    """Works: one segment a chunk, its text a pure function of the audio."""

    def check(self, language: str | None, task: Task) -> None:
        if task == "translate":
            raise EngineRefusal("cannot_translate", "an echo cannot translate", "leave out --task translate")

    def find_language(self, audio: Audio) -> tuple[str, float]:
        return "en", 0.9

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        heard = []
        for chunk in chunks:
            self.work()
            heard.append([RawSegment(chunk.start, chunk.end, text_of(chunk.audio), -0.1, 0.01)])
        return heard


class BabblingTranscriber(EchoTranscriber):
    """Repeats everything fifty times, as a model with a damaged weight does."""

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        heard = super().transcribe(chunks, wanted)
        return [[replace(one, text=f"{one.text} " * 50) for one in chunk] for chunk in heard]


class EchoAligner(_Fake):
    """Works: the segment's words, evenly spread."""

    def check(self, language: str) -> None:
        if language == "xx":
            raise EngineRefusal("no_alignment_model:xx", "nobody can time xx", "none")

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        self.work()
        words = segment.text.split()
        share = (segment.end - segment.start) / max(1, len(words))
        return tuple(
            Word(
                word=word,
                start=segment.start + position * share,
                end=min(segment.end, segment.start + (position + 1) * share),
                score=0.9,
            )
            for position, word in enumerate(words)
        )


class NeedsModelTranscriber(EchoTranscriber):
    """Refuses to load: `needs_model`."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        raise EngineRefusal("needs_model", "needs model small", "run steno models pull small")


class NoMetalTranscriber(EchoTranscriber):
    """Refuses to load, as MLX does in a session without a GPU: `no_metal`."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        raise EngineRefusal("no_metal", "MLX finds no GPU in this session", "run stenod on the Mac itself")


class NeedsModelAligner(EchoAligner):
    """Refuses to load: `needs_model`."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        raise EngineRefusal("needs_model", "needs model small", "run steno models pull small")


class DownloadingTranscriber(EchoTranscriber):
    """Takes `load` seconds to load, saying all the while that it downloads."""

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        loaded = super().load(setup.model_copy(update={"model": None}), downloading)
        for _ in range(10):
            downloading()
            time.sleep(float((setup.model or "load=1").removeprefix("load=")) / 10)
        return loaded


class RaisingTranscriber(EchoTranscriber):
    """Every call is a Python exception, as libraries throw them."""

    def work(self) -> None:
        raise RuntimeError("the library is unhappy")


class RaisingAligner(EchoAligner):
    """Raises at every other segment."""

    def work(self) -> None:
        self.done += 1
        if self.done % 2 == 0:
            raise RuntimeError("backtrack failed")


class NanAligner(EchoAligner):
    """Gives times that are no numbers, in words made without pydantic's checks."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        words = super().align(audio, segment, language)
        return tuple(Word.model_construct(**word.model_dump() | {"start": math.nan}) for word in words)


def _crash_while_told(crashes: Path) -> None:
    left = int(crashes.read_text() or "0") if crashes.exists() else 0
    if left > 0:
        crashes.write_text(str(left - 1))
        segfault()


class CrashTimesTranscriber(EchoTranscriber):
    """SIGSEGV at a chunk while the number in FAKE_CRASHES is above 0."""

    def work(self) -> None:
        super().work()
        _crash_while_told(Path(os.environ["FAKE_CRASHES"]))


class CrashTimesAligner(EchoAligner):
    """SIGSEGV at a segment while the number in FAKE_CRASHES is above 0."""

    def work(self) -> None:
        super().work()
        _crash_while_told(Path(os.environ["FAKE_CRASHES"]))


class PoisonAligner(EchoAligner):
    """SIGSEGV at every segment whose text holds the word in FAKE_POISON, `poison` if unset."""

    def align(self, audio: Audio, segment: Segment, language: str) -> tuple[Word, ...]:
        if os.environ.get("FAKE_POISON", POISON) in segment.text:
            segfault()
        return super().align(audio, segment, language)


def _misbehaving(role: type[_Fake], how: Callable[[], object], *, on_load: bool) -> type[_Fake]:
    return type(f"{how.__name__}_{role.__name__}", (role,), {"misbehave": staticmethod(how), "on_load": on_load})


MISBEHAVIOURS: dict[str, Callable[[], object]] = {
    "SegfaultOnCall": segfault,  # SIGSEGV at the `at`-th chunk or segment; `at=1` of several: while answering
    "KillSelf": kill_self,  # SIGKILL
    "AbortSelf": abort_self,  # SIGABRT, as MLX does
    "ExitZero": exit_zero,  # exits with 0, without a reply
    "HangForever": hang_in_python,  # sleeps, other threads run
    "HangHoldingGil": hang_holding_the_gil,  # native, no other thread runs
    "IgnoresSigterm": hang_deaf_to_sigterm,  # the same, and deaf
    "SpeaksGarbage": speak_garbage,  # a frame that is no message
    "TearsFrame": tear_a_frame,  # half a frame, then SIGSTOP
    "StopsItself": stop_self,  # SIGSTOP
    "OutOfMemory": run_out_of_memory,  # MemoryError
    "OutOfMemoryInOtherWords": run_out_of_memory_in_other_words,  # what threading says
}
"""Each is two engines, `<name>Transcriber` and `<name>Aligner`, that work until the `at`-th chunk or segment."""

MISBEHAVIOURS_ON_LOAD: dict[str, Callable[[], object]] = {
    "SegfaultOnLoad": segfault,  # SIGSEGV while loading
    "HangOnLoad": hang_in_python,  # never says Ready
}
"""The same, while loading."""

for _name, _how in [*MISBEHAVIOURS.items(), *MISBEHAVIOURS_ON_LOAD.items()]:
    for _role, _engine in (("Transcriber", EchoTranscriber), ("Aligner", EchoAligner)):
        globals()[_name + _role] = _misbehaving(_engine, _how, on_load=_name in MISBEHAVIOURS_ON_LOAD)
