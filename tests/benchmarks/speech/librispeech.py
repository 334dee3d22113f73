"""A part of LibriSpeech → a folder that `make bench SPEECH=DIR` reads.

Runs in: the user's shell, by the command that README.md beside this gives; that says where it comes from, too.
The same corpus and seed give the same folder.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from recordings import voice, wav

SAMPLE_RATE = 16_000
SEED = 12
MINUTES = 8.0
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.3, 1.0
LEVELS_DB = (0, -6, -12, -18, -25, -30, -35)
ROOM_DBFS = -72
NOISE_SECONDS = 40.0
NOISE_LEVEL = 0.05
"""Standard deviation, of full scale."""

Sound = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence of one reader."""

    name: str
    sound: Path
    text: str


def utterances(part: Path) -> list[Utterance]:
    """One of each reader, then the second of each, and so on: `SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`."""
    of_readers: dict[str, list[Utterance]] = {}
    for transcript in sorted(part.glob("*/*/*.trans.txt")):
        for line in transcript.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            reader = of_readers.setdefault(transcript.parts[-3], [])
            reader.append(Utterance(name, transcript.with_name(f"{name}.flac"), text))
    rounds = max(map(len, of_readers.values()), default=0)
    return [said[number] for number in range(rounds) for said in of_readers.values() if number < len(said)]


def build(part: Path, folder: Path, minutes: float = MINUTES) -> None:
    """Writes english.wav and .json, english_levels.wav and .json, and noises that are computed."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(SEED)
    sounds: list[Sound] = []
    clips, references, gains, at = list[tuple[str, float, float]](), dict[str, str](), dict[str, int](), 0
    for said in utterances(part):
        sound = voice(said.sound) / 32768
        if (at + len(sound)) / SAMPLE_RATE > 60 * minutes:
            break
        pause = round(drawn.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) * SAMPLE_RATE)
        clips.append((said.name, at / SAMPLE_RATE, (at + len(sound)) / SAMPLE_RATE))
        references[said.name] = said.text
        gains[said.name] = int(drawn.choice(LEVELS_DB))
        sounds.append(np.pad(sound, (0, pause)))
        at += len(sound) + pause
    at_levels = [sound * 10 ** (gain / 20) for sound, gain in zip(sounds, gains.values(), strict=True)]
    room = drawn.normal(0.0, 10 ** (ROOM_DBFS / 20), at)
    _write(folder / "english.wav", np.concatenate(sounds))
    _write(folder / "english_levels.wav", np.concatenate(at_levels) + room)
    _tell(folder / "english.json", {"clips": clips, "references": references})
    _tell(folder / "english_levels.json", {"gain_db": gains, "room_dbfs": ROOM_DBFS, "same_clips_as": "english.json"})
    for name, noise in noises(drawn):
        _write(folder / f"noise_{name}.wav", noise)


def noises(drawn: np.random.Generator) -> Iterator[tuple[str, Sound]]:
    """Sound in which nobody speaks."""
    count = round(NOISE_SECONDS * SAMPLE_RATE)
    hiss = drawn.normal(0.0, NOISE_LEVEL, count)
    brown = np.cumsum(drawn.normal(0.0, 1.0, count))
    brown -= np.linspace(brown[0], brown[-1], count)
    at = np.arange(count) / SAMPLE_RATE
    yield "silence", np.zeros(count)
    yield "hiss", hiss
    yield "brown", NOISE_LEVEL * brown / brown.std()
    yield "hum", NOISE_LEVEL * np.sum([np.sin(2 * np.pi * hertz * at) for hertz in (50, 100, 150, 250)], axis=0)


def _write(path: Path, sound: Sound) -> None:
    wav(path, (32768 * sound).round().clip(-32768, 32767).astype(np.int16))


def _tell(path: Path, what: object) -> None:
    path.write_text(json.dumps(what, indent=1), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.speech.librispeech", description="LibriSpeech → a folder for SPEECH=DIR"
    )
    parser.add_argument("part", type=Path, help="an unpacked part, such as LibriSpeech/test-other")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    asked = parser.parse_args(arguments)
    if not utterances(asked.part):
        parser.error(f"{asked.part} holds no SPEAKER/CHAPTER/*.trans.txt")
    build(asked.part, asked.folder, asked.minutes)


if __name__ == "__main__":
    main()
