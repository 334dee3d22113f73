"""Row 25: the odd recordings of daily life, each read to its end with right times, or named in what it lacks.

Runs in: the chaos run. The decoder is a worker's own, in its sandbox; no engine is needed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from running_decoders import decode, decoders, wish_for

from chaos.recordings.life_channels import recordings_by_channel, recordings_by_track
from chaos.recordings.life_recordings import RATE, Heard, LifeRecording, Truth, life_recordings, voice
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.transcript import RecordingFacts
from workers.engine import EngineRefusal

TITLE = "Odd recordings of life"
DEMAND = "joined, cut off, old sizes, zeros, wrong clocks: all sound at its time within 0.1 s, no loss unsaid"
OFF_SECONDS = 0.1
ENCODER_SECONDS = 0.1
"""A lossy codec's delay and last frame, for each container of a recording."""
WINDOW_SECONDS = 2.0
ENVELOPE_HZ = 100
ALIKE = 0.6
"""Correlation of two envelopes of the same words, one of them through a lossy codec."""
LOUD_ENOUGH = 0.2
"""Of the voice's own loudness: a window with less holds a pause."""

Envelope = npt.NDArray[np.float64]


def run(trial: Trial) -> Tally:
    """Each recording through a decoder, and held against its truth."""
    tally = Tally()
    luck = trial.luck()
    place = trial.folder / "odd"
    place.mkdir()
    worst = 0.0
    with decoders(keeps_ready=True) as made:
        for kind, all_of_it in _all_kinds().items():
            for recording in luck.sample(all_of_it, trial.number(len(all_of_it))):
                path, pcm = place / "recording", place / "audio.s16"
                truth = recording.make(path)
                tally.trials += 1
                try:
                    answer = decode(made, wish_for(path, pcm))
                except EngineRefusal as refusal:
                    tally.lost += 1
                    tally.wrong.append(f"{kind}: {recording.name}: refused as {refusal.code}")
                    continue
                made.make_ready()
                audio = np.fromfile(pcm, dtype="<i2")
                for left in place.iterdir():
                    left.unlink()
                complaints, off = _held(recording, truth, audio, answer.recording)
                tally.wrong += [f"{kind}: {complaint}" for complaint in complaints]
                worst = max(worst, off)
    tally.faults = tally.trials
    tally.figures["sound off its time, at worst"] = f"{worst:.3f} s"
    return tally


def _all_kinds() -> dict[str, list[LifeRecording]]:
    return life_recordings() | {"channels": list(recordings_by_channel()), "tracks": list(recordings_by_track())}


def _held(
    recording: LifeRecording, truth: Truth, audio: npt.NDArray[np.int16], facts: RecordingFacts | None
) -> tuple[list[str], float]:
    """What is wrong, and how far the sound is off at worst."""
    if facts is None:
        return [f"{recording.name}: nothing is known of what was read"], 0.0
    return list(_complaints(recording.name, truth, audio, facts)), _off(truth, audio)


def _complaints(name: str, truth: Truth, audio: npt.NDArray[np.int16], facts: RecordingFacts) -> Iterator[str]:
    said = {damage.code for damage in facts.damage}
    seconds = len(audio) / RATE
    if truth.seconds is not None and abs(seconds - truth.seconds) > OFF_SECONDS + ENCODER_SECONDS:
        yield f"{name}: {seconds:.2f} s, not {truth.seconds:.2f} s"
    if lacking := truth.must_say - said:
        yield f"{name}: {sorted(lacking)} is not said"
    if more := said - truth.must_say - truth.may_say:
        yield f"{name}: a false alarm, {[damage.message for damage in facts.damage if damage.code in more]}"
    for heard, at, off in _windows(truth, audio):
        if off is None:
            yield f"{name}: {heard.voice} at {at:.1f} s is not where it should be, at {heard.at(at):.2f} s"
        elif abs(off) > OFF_SECONDS:
            yield f"{name}: {heard.voice} at {at:.1f} s is {off:+.2f} s off its time"


def _off(truth: Truth, audio: npt.NDArray[np.int16]) -> float:
    return max((abs(off) for _, _, off in _windows(truth, audio) if off is not None), default=0.0)


def _windows(truth: Truth, audio: npt.NDArray[np.int16]) -> Iterator[tuple[Heard, float, float | None]]:
    """Every window of each voice with words in it: how many seconds it is off; None: it is not there."""
    found = _envelope(audio)
    for heard in truth.heard:
        wanted = _envelope(voice(heard.voice))
        usual = float(wanted.std())
        at = 0.0
        while at + WINDOW_SECONDS <= heard.until:
            window = wanted[round(at * ENVELOPE_HZ) : round((at + WINDOW_SECONDS) * ENVELOPE_HZ)]
            if window.std() > LOUD_ENOUGH * usual:
                yield heard, at, _lag(window, found, heard.at(at), heard.at(at + WINDOW_SECONDS))
            at += WINDOW_SECONDS


def _lag(window: Envelope, found: Envelope, start: float, end: float) -> float | None:
    """How much later than `start` the window is found, within half a second; None: nowhere."""
    length = round((end - start) * ENVELOPE_HZ)
    stretched = np.interp(np.linspace(0, len(window) - 1, length), np.arange(len(window)), window)
    best, best_lag = 0.0, 0.0
    for lag in range(-50, 51):
        first = round(start * ENVELOPE_HZ) + lag
        if first < 0:
            continue
        there = found[first : first + length]
        if len(there) < 0.9 * length or not there.std():
            continue
        alike = float(np.corrcoef(stretched[: len(there)], there)[0, 1])
        if alike > best:
            best, best_lag = alike, lag / ENVELOPE_HZ
    return best_lag if best >= ALIKE else None


def _envelope(audio: npt.NDArray[np.int16]) -> Envelope:
    """How loud it is, a hundred times a second."""
    step = RATE // ENVELOPE_HZ
    blocks = audio[: len(audio) // step * step].astype(np.float64).reshape(-1, step)
    return np.sqrt((blocks**2).mean(axis=1))


def make_all(folder: Path) -> Iterator[tuple[str, Path, Truth]]:
    """Every recording as a file, for a look by hand."""
    for kind, all_of_it in _all_kinds().items():
        for number, recording in enumerate(all_of_it):
            path = folder / f"{kind}-{number}"
            yield f"{kind}: {recording.name}", path, recording.make(path)
