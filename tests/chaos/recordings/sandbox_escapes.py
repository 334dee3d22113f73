"""Row 32: decoders that their recordings have taken over try to get out, one forbidden thing after the other.

Runs in: the chaos run.
"""

import hashlib
import random
from pathlib import Path

from hostile_decoder import ENDED, HELD, SECRET, VICTIM, WITHOUT, program_with
from recordings import encoded, tone, wav
from running_decoders import QuietHeartbeat, decode, wish_for

from chaos.lanes import side_by_side
from chaos.tally import Tally
from chaos.trial import Trial
from ipc.decoder_messages import Limits
from workers.decoder.decoders import Decoders
from workers.decoder.forked_child import adopt_orphans
from workers.decoder.process import PROGRAM
from workers.engine import EngineRefusal
from workers.pcm.pcm_file import pcm_seconds

TITLE = "Sandbox escapes"
DEMAND = (
    f"{len(HELD)} forbidden things × 200 in any order, with and without each wall, {len(ENDED)} ways without end "
    "× 20: none succeeds, no worker dies; 200 recordings in any container are decoded behind the walls"
)
TAKEN_OVER, WITHOUT_END, HONEST = 200, 20, 200
WALLS = ("", "forbid_all_files", "_limit", "_no_new_privileges")
"""What may be missing; the filter alone must do."""
SMALL = Limits(memory_bytes=256 * 1024**2, file_bytes=4_000_000, cpu_seconds=1)
KINDS = (
    *(("a.m4a", "aac"), ("a.m4a", "alac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.mka", "flac")),
    *(("a.flac", "flac"), ("a.aac", "aac"), ("a.ac3", "ac3"), ("a.avi", "mp2"), ("a.ts", "aac")),
    *(("a.mov", "pcm_s16le"), ("a.aiff", "pcm_s16be"), ("a.w64", "pcm_s24le"), ("a.au", "pcm_mulaw")),
    *(("a.wv", "wavpack"), ("a.flv", "aac"), ("a.caf", "pcm_s16le"), ("a.tta", "tta"), ("a.webm", "libopus")),
)
LANES = 2
"""Decoders compute: one for each core."""


def run(trial: Trial) -> Tally:
    """Every decoder is a case of its own."""
    tally, luck = Tally(), trial.luck()
    seeds = [luck.randrange(1 << 30) for _ in range(trial.number(TAKEN_OVER, least=len(WALLS)))]
    taken_over = [(trial.folder / f"taken{number}", seed) for number, seed in enumerate(seeds)]
    without_end = [
        (trial.folder / f"{which}{number}", which) for which in ENDED for number in range(trial.number(WITHOUT_END))
    ]
    honest = [(trial.folder / f"honest{number}", luck.randrange(1 << 30)) for number in range(trial.number(HONEST))]
    side_by_side(taken_over, _taken_over, tally, LANES)
    side_by_side(without_end, _without_end, tally, LANES)
    side_by_side(honest, _honest, tally, LANES)
    adopt_orphans(wanted=False)
    return tally


def _decoders(program: tuple[str, ...] = PROGRAM, limits: Limits | None = None, patience: float = 60.0) -> Decoders:
    pulse: object = QuietHeartbeat(patience)
    return Decoders(pulse, keeps_ready=False, limits=limits, program=program)  # type: ignore[arg-type]


def _scene(folder: Path) -> Path:
    folder.mkdir()
    (folder / VICTIM).write_text("precious")
    (folder / SECRET).write_text("secret")
    return wav(folder / "a.wav", tone(1))


def _answer(made: Decoders, recording: Path, disk_seconds: float = 60.0) -> EngineRefusal | None:
    try:
        decode(made, wish_for(recording, disk_seconds=disk_seconds))
    except EngineRefusal as refusal:
        return refusal
    finally:
        made.close()
    return None


def _expect_untouched(folder: Path, tally: Tally, case: str) -> None:
    names = sorted(path.name for path in folder.iterdir())
    tally.expect(names == sorted(["a.wav", SECRET, VICTIM]), f"{case}: left {names}")
    found = (folder / VICTIM).stat()
    same = (folder / VICTIM).read_text() == "precious" and found.st_mode & 0o777 == 0o644 and found.st_nlink == 1
    tally.expect(same, f"{case}: the victim was touched")


def _taken_over(case: tuple[Path, int], tally: Tally) -> None:
    folder, seed = case
    luck = random.Random(seed)
    missing = WALLS[int(folder.name.removeprefix("taken")) % len(WALLS)]
    attacks = luck.sample(list(HELD), len(HELD))
    words = [f"{WITHOUT}{missing}", *attacks] if missing else attacks
    refusal = _answer(_decoders(program_with(*words)), _scene(folder))
    tally.trials += len(attacks)
    tally.faults += len(attacks)
    told = "nothing was refused" if refusal is None else f"{refusal.code}: {refusal.message}"
    tally.expect(refusal is not None and refusal.code == "held", f"seed {seed}, without {missing or 'none'}: {told}")
    _expect_untouched(folder, tally, f"seed {seed}")
    tally.count("decoders taken over")


def _without_end(case: tuple[Path, str], tally: Tally) -> None:
    folder, which = case
    torn = which == "tear_a_line"
    made = _decoders(program_with(which), SMALL, patience=3.0 if torn else 60.0)
    refusal = _answer(made, _scene(folder), disk_seconds=2.0 if torn else 60.0)
    expected = "disk_not_answering" if torn else f"decoder_crashed:{ENDED[which][1]}"
    tally.trials += 1
    tally.faults += 1
    tally.expect(refusal is not None and refusal.code == expected, f"{which}: {refusal and refusal.message}")
    _expect_untouched(folder, tally, which)
    tally.count("decoders without end")


def _honest(case: tuple[Path, int], tally: Tally) -> None:
    folder, seed = case
    luck = random.Random(seed)
    folder.mkdir()
    name, codec = luck.choice(KINDS)
    seconds = luck.uniform(0.5, 20.0)
    samples = tone(seconds, 48_000, hertz=luck.uniform(100, 4000))
    recording = encoded(folder / name, samples, codec, rate=48_000)
    made = _decoders()
    try:
        decoded = made.decode(wish_for(recording))
    finally:
        made.close()
    tally.trials += 1
    right_length = abs(decoded.seconds - seconds) < 0.15 and pcm_seconds(folder / "audio.s16") == decoded.seconds
    right_hash = (
        decoded.recording is not None
        and decoded.recording.sha256 == hashlib.sha256(recording.read_bytes()).hexdigest()
    )
    tally.changed += not (right_length and right_hash)
    tally.expect(right_length and right_hash, f"{name} with {codec}, seed {seed}: {decoded}")
    tally.count("honest recordings")
