"""What must come out of each recording, known without asking stenod.

Runs in: the chaos run.

A recording is made from its number; the stub engine's text is a pure function of its samples
(`chaos.daemon.stub_engines`), and decoding 16 kHz mono WAV changes none of them.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recordings import Samples, wav

from chaos.daemon.stub_engines import text_of

RATE = 16_000
CHUNK_SECONDS = 0.5
"""What `FAKE_CHUNK_SECONDS` has to be told."""


@dataclass(frozen=True, slots=True)
class Made:
    """A recording and the text of its chunks."""

    path: Path
    texts: tuple[str, ...]


def make(path: Path, number: int, chunks: int = 3) -> Made:
    """The same number gives the same sound, another one another."""
    length = round(CHUNK_SECONDS * RATE)
    sound: Samples = np.random.default_rng(number).integers(-9000, 9000, chunks * length, dtype=np.int16)
    wav(path, sound)
    parts = [sound[first : first + length] for first in range(0, len(sound), length)]
    return Made(path, tuple(text_of(part.astype(np.float32) / 32768) for part in parts))


def complaint(
    made: Made, transcript: Mapping[str, Any], *, words: bool, without_words: Collection[str] = ()
) -> str | None:
    """What is wrong with a transcript; None: nothing. `words`: each must have its time, but for those of the
    segments that say one of `without_words`, which must have none."""
    segments = transcript["segments"]
    texts = tuple(segment["text"] for segment in segments)
    if texts != made.texts:
        return f"{made.path.name} says {texts}, not {made.texts}"
    if [segment["id"] for segment in segments] != list(range(len(segments))):
        return f"{made.path.name} has the ids {[segment['id'] for segment in segments]}"
    if not words:
        return None
    for segment in segments:
        spoken = [word["word"] for word in segment["words"]]
        if spoken != ([] if segment["text"] in without_words else segment["text"].split()):
            return f"{made.path.name}, segment {segment['id']}: words {spoken} of {segment['text']!r}"
    return None


def complaint_about_files(
    made: Made, job: Mapping[str, Any], *, words: bool = True, without_words: Collection[str] = ()
) -> str | None:
    """The same for a job that says it is done: its files are there, whole and right."""
    outputs = job["outputs"]
    if not outputs:
        return f"{made.path.name} is done and has no files"
    missing = [path for path in outputs.values() if not Path(path).is_file()]
    if missing:
        return f"{made.path.name} is done and {missing} missing"
    try:
        transcript = json.loads(Path(outputs["json"]).read_bytes())
    except ValueError as error:
        return f"{outputs['json']} is not whole: {error}"
    return complaint(made, transcript, words=words, without_words=without_words)
