"""What all rows run on: the recordings, the number of runs and threads, the models, and the order of turns.

Runs in: the benchmark.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from recordings import MEMO, TALK, voice

from benchmarks.accuracy.scorer import Scorer
from benchmarks.contestants.contestant import PEERS, ROOT, Contestant, environment_of, peers_environment
from benchmarks.speech.medley import record_medley
from benchmarks.speech.speech_folder import SpeechFolder
from benchmarks.speech.speech_maker import SAMPLE_RATE, Recording, Voice, record
from workers.models.find_aligner import STARTER_FOLDER
from workers.models.starter import find_starter

Answer = TypeVar("Answer")
Thing = TypeVar("Thing")
Say = Callable[[str], None]

LONGEST_REPEATED_SECONDS = 900.0
"""What is longer is run once: an hour of speech says by itself how much it varies."""
WHISPER_BASE = ROOT / ".bench" / "whisper-base"
"""Where `make bench-setup` puts it."""


@dataclass(frozen=True, slots=True)
class Course:
    """The same for everybody."""

    folder: Path
    """Recordings and logs, gone afterwards."""
    runs: int
    threads: int
    """Of each side in all."""
    say: Say
    shrink: float = 1.0
    """How many times shorter recordings are than they should be; 1 but for a quick look."""
    real: SpeechFolder | None = None
    """Real speech, where there is some."""
    _made: dict[object, Recording] = field(default_factory=dict)
    _scorers: list[Scorer] = field(default_factory=list)

    @property
    def whisper(self) -> Path:
        """The starter as CTranslate2 has it."""
        return find_starter()

    @property
    def whisper_base(self) -> Path:
        """Multilingual, in the same format; what rows on real speech hear with."""
        return WHISPER_BASE

    @property
    def aligner(self) -> Path:
        return STARTER_FOLDER

    @property
    def real_speech(self) -> SpeechFolder:
        """Asked by rows that are offered only where there is some."""
        assert self.real is not None
        return self.real

    @property
    def scorer(self) -> Scorer:
        if not self._scorers:
            self._scorers.append(Scorer(self._scoring))
        return self._scorers[0]

    def speech(self, seconds: float) -> Recording:
        """So much speech (times `shrink`, if this is only a quick look) with its text, made once."""
        seconds = max(seconds / self.shrink, 20.0)
        if seconds not in self._made:
            voices = [Voice(voice(path), path.with_suffix(".txt").read_text().strip()) for path in (MEMO, TALK)]
            self._made[seconds] = record(self.folder / f"speech-{seconds:.0f}.wav", voices, seconds)
        return self._made[seconds]

    def medley(self, sound: Path, seconds: float | None = None) -> Recording:
        """So much real speech, or all there is, from a recording of the clips; less if this is only a quick look."""
        if seconds is None:
            seconds = len(voice(sound)) / SAMPLE_RATE
        wanted = sound, seconds / self.shrink
        if wanted not in self._made:
            path = self.folder / f"{sound.stem}-{seconds / self.shrink:.0f}.wav"
            self._made[wanted] = record_medley(path, sound, self.real_speech.clips, seconds / self.shrink)
        return self._made[wanted]

    def some(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """All of them; the first few if this is only a quick look."""
        return things[: math.ceil(len(things) / self.shrink)]

    def runs_at(self, seconds: float) -> int:
        return self.runs if seconds <= LONGEST_REPEATED_SECONDS else 1

    def in_turns(self, sides: Mapping[str, Callable[[], Answer]], runs: int | None = None) -> dict[str, list[Answer]]:
        """Each side once, then each side again: what else the machine does meanwhile falls on all of them."""
        answers: dict[str, list[Answer]] = {name: [] for name in sides}
        rounds = self.runs if runs is None else runs
        for number in range(rounds):
            for name, turn in sides.items():
                self.say(f"  run {number + 1} of {rounds}: {name}")
                answers[name].append(turn())
        return answers

    def engine(self, name: str, threads: int | None = None, **setup: object) -> Contestant:
        """One of stenod's engines, loaded, in a process of its own."""
        threads = threads or self.threads
        return Contestant(
            *(Path(sys.executable), "contestants.engines", name, self._setup(name, threads, setup)),
            environment_of(threads),
        )

    def peer(self, name: str, **setup: object) -> Contestant:
        """One of the peers, loaded, in a process of its own."""
        return self._of_peers("contestants.peers", name, setup)

    def close(self) -> None:
        for scorer in self._scorers:
            scorer.close()

    def _scoring(self, name: str) -> Contestant:
        return self._of_peers("accuracy.word_errors", name, {})

    def _of_peers(self, module: str, name: str, setup: dict[str, object]) -> Contestant:
        return Contestant(
            *(PEERS / "python", module, name, self._setup(name, self.threads, setup)), peers_environment(self.threads)
        )

    def _setup(self, name: str, threads: int, setup: dict[str, object]) -> dict[str, object]:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        told = {key: str(value) if isinstance(value, Path) else value for key, value in setup.items()}
        return {"threads": threads, "folder": str(self.folder), "log": str(log), **told}
