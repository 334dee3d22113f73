"""Models are fetched from a hub, checked, listed, opened without it and removed: the real program, the hub's real
library, a hub of our own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ctranslate2_model import model_bin, tiny_whisper
from eventually import eventually
from fake_hub import FakeHub, a_hub

from ipc.model_messages import SHELF_MESSAGE, FileProgress, ModelHere, Removal, ShelfRefusal, ShelfView
from ipc.status_views import Finding

TINY = "Systran/faster-whisper-tiny"
PULL_TINY = ("pull", "tiny")
DUTCH = "jonatasgrosman/wav2vec2-large-xlsr-53-dutch"


def whisper_files() -> dict[str, bytes]:
    """A whisper that can be opened and takes four pieces to write down."""
    variables = tiny_whisper(np.random.default_rng(7))
    variables["decoder/spare"] = np.random.default_rng(8).normal(size=(1024, 1024)).astype(np.float32)
    return {
        ".gitattributes": b"*.bin filter=lfs\n",
        "config.json": b"{}",
        "model.bin": model_bin(variables),
        "tokenizer.json": b'{"model": {}}',
        "vocabulary.txt": b"a\nb\n",
    }


def wav2vec2_files() -> dict[str, bytes]:
    """Both kinds of weights, as many repositories have them."""
    from safetensors.numpy import save

    return {
        "config.json": json.dumps({"model_type": "wav2vec2"}).encode(),
        "vocab.json": json.dumps({"<pad>": 0, "|": 1, "a": 2}).encode(),
        "preprocessor_config.json": b"{}",
        "model.safetensors": save({"lm_head.weight": np.zeros((300, 300), np.float32)}),
        "pytorch_model.bin": b"\x80" * 200_000,
    }


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return whisper_files()


@pytest.fixture
def hub(model: dict[str, bytes]) -> Iterator[FakeHub]:
    with a_hub(**{TINY: dict(model), DUTCH: wav2vec2_files()}) as running:
        yield running


class Shelf:
    """`python -P -m workers.model_manager` in an environment of its own."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.hub_cache = home / "hf" / "hub"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("STENO_", "HF_"))},
            "STENO_HOME": str(home / "steno"),
            "HF_HOME": str(home / "hf"),
            "TORCH_HOME": str(home / "torch"),
            "HF_ENDPOINT": endpoint,
            "WHISPER_BACKEND": "whisperx",
            "STENO_MODEL": "tiny",
            "STENO_ALIGNMENT_MODEL": "starter",
        }

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "workers.model_manager", *words],
            env=self.environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def lines(self, *words: str, code: int = 0) -> list[bytes]:
        with self.start(*words) as process:
            said, complaints = process.communicate(timeout=60)
        assert process.returncode == code, complaints.decode() + said.decode()
        return said.splitlines()

    def says(self, *words: str, code: int = 0) -> list[Any]:
        return [SHELF_MESSAGE.validate_json(line) for line in self.lines(*words, code=code)]

    def findings(self) -> dict[str, Finding]:
        found = [Finding.model_validate_json(line) for line in self.lines("check")]
        return {finding.check: finding for finding in found}

    def blob(self, hub_id: str, file: str) -> Path:
        [pointer] = (self.hub_cache / f"models--{hub_id.replace('/', '--')}").glob(f"snapshots/*/{file}")
        return pointer.resolve()


@pytest.fixture
def shelf(tmp_path: Path, hub: FakeHub) -> Shelf:
    return Shelf(tmp_path, hub.address)


def test_a_pulled_model_is_listed_found_whole_and_opened_without_a_word_to_the_hub(
    shelf: Shelf, hub: FakeHub, model: dict[str, bytes]
) -> None:
    missing = shelf.findings()["transcriber_model"]
    assert (missing.state, missing.remedy) == ("broken", "steno models pull tiny")

    said = shelf.says(*PULL_TINY)
    assert isinstance(said[-1], ModelHere)
    wanted = {name: content for name, content in model.items() if name != ".gitattributes"}
    assert said[-1].size_bytes == said[-1].fetched_bytes == sum(map(len, wanted.values()))
    arrived = [one for one in said if isinstance(one, FileProgress) and one.phase == "fetching"]
    assert {one.file: one.done_bytes for one in arrived} == {name: len(content) for name, content in wanted.items()}
    assert all(one.total_bytes == len(wanted[one.file]) for one in arrived)
    assert hub.gets("model.bin") == [""]  # once, and not by the other protocol its headers offer
    assert not [path for _, path, _ in hub.asked if path.startswith("/xet") or path.endswith(".gitattributes")]

    hub.asked.clear()
    assert shelf.findings()["transcriber_model"].state == "ok"
    [line] = shelf.lines("list")
    first = ShelfView.model_validate_json(line).models[0]
    assert (first.name, first.id, first.state, first.used_as) == ("tiny", TINY, "whole", ("transcriber",))
    assert first.size_bytes == said[-1].size_bytes
    again = shelf.says(*PULL_TINY)[-1]
    assert isinstance(again, ModelHere) and again.fetched_bytes == 0
    opened = subprocess.run(
        [sys.executable, "-P", "-c", OPEN_AS_A_WORKER_DOES, str(shelf.environment["STENO_HOME"])],
        env=shelf.environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert opened.stdout.strip() == said[-1].path, opened.stderr
    assert hub.asked == []


OPEN_AS_A_WORKER_DOES = """
import sys
from pathlib import Path
from workers.models.find import find_model
print(find_model("tiny", "whisperx", Path(sys.argv[1]), allow_download=True, downloading=lambda: None))
"""


def test_an_interrupted_pull_goes_on_where_it_stopped(shelf: Shelf, hub: FakeHub, model: dict[str, bytes]) -> None:
    hub.stalls.add("model.bin")
    with shelf.start(*PULL_TINY) as process:
        incomplete = lambda: list(shelf.hub_cache.glob("*/blobs/*.incomplete"))  # noqa: E731
        eventually(lambda: any(part.stat().st_size > 1_000_000 for part in incomplete()), 20, "half of it is here")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    [part] = incomplete()
    here = part.stat().st_size
    assert 0 < here < len(model["model.bin"])
    [line] = shelf.lines("list")
    assert "goes on" in ShelfView.model_validate_json(line).models[0].why

    hub.stalls.clear()
    hub.asked.clear()
    said = shelf.says(*PULL_TINY)
    assert hub.gets("model.bin") == [f"bytes={here}-"]
    assert isinstance(said[-1], ModelHere)
    assert said[-1].fetched_bytes < said[-1].size_bytes
    assert shelf.blob(TINY, "model.bin").read_bytes() == model["model.bin"]


def test_a_line_that_breaks_is_opened_again_and_a_file_that_arrives_damaged_is_fetched_again(
    shelf: Shelf, hub: FakeHub, model: dict[str, bytes]
) -> None:
    hub.breaks_at["model.bin"] = [3_000_000]
    hub.corrupts["tokenizer.json"] = 1
    assert isinstance(shelf.says(*PULL_TINY)[-1], ModelHere)
    whole, rest = hub.gets("model.bin")
    assert whole == "" and int(rest.removeprefix("bytes=").removesuffix("-")) >= 2_000_000
    assert hub.gets("tokenizer.json") == ["", ""]
    assert shelf.blob(TINY, "model.bin").read_bytes() == model["model.bin"]

    hub.corrupts["vocabulary.txt"] = 2
    shelf.blob(TINY, "vocabulary.txt").unlink()
    refused = shelf.says(*PULL_TINY, code=3)[-1]
    assert isinstance(refused, ShelfRefusal)
    assert (refused.code, "vocabulary.txt" in refused.message) == ("model_damaged", True)


def test_one_changed_byte_on_the_disk_is_found_and_mended_by_its_remedy(shelf: Shelf, hub: FakeHub) -> None:
    shelf.lines(*PULL_TINY)
    blob = shelf.blob(TINY, "model.bin")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    damaged = shelf.findings()["transcriber_model"]
    assert (damaged.state, damaged.remedy) == ("broken", "steno models pull tiny; then `steno restart transcriber`")
    hub.asked.clear()
    command, _, _ = damaged.remedy.partition(";")
    fixed = shelf.says(*command.split()[2:])[-1]
    assert isinstance(fixed, ModelHere)
    assert fixed.fetched_bytes == len(content)
    assert (hub.gets("model.bin"), hub.gets("config.json")) == ([""], [])
    assert shelf.findings()["transcriber_model"].state == "ok"


def test_a_language_brings_its_aligner_with_one_kind_of_weights(shelf: Shelf, hub: FakeHub) -> None:
    del shelf.environment["STENO_ALIGNMENT_MODEL"]
    said = shelf.says("pull", "--lang", "nl")
    assert [one.name for one in said if isinstance(one, ModelHere)] == ["tiny", DUTCH]
    assert hub.gets("model.safetensors") == [""]
    assert hub.gets("pytorch_model.bin") == []
    shelf.environment["STENO_LANGUAGE"] = "nl"
    assert {check: one.state for check, one in shelf.findings().items()} == {
        "transcriber_model": "ok",
        "alignment_model": "ok",
    }


def test_a_hub_that_is_away_or_has_no_such_model_and_a_full_disk_are_refusals_that_say_what_to_do(
    shelf: Shelf, hub: FakeHub
) -> None:
    hub.repositories["some/notes"] = {"README.md": b"#"}
    refused = shelf.says("pull", "nobody/nothing", "some/notes", "tyni", code=3)
    assert {one.name: one.code for one in refused if isinstance(one, ShelfRefusal)} == {
        "nobody/nothing": "no_such_model",
        "some/notes": "not_a_model",
        "tyni": "unknown_model",
    }
    shelf.environment["STENO_MEDIA_FREE_DISK_FLOOR_MB"] = "1000000000"
    assert shelf.says(*PULL_TINY, code=3)[-1].code == "disk_full"
    assert hub.gets("model.bin") == []
    shelf.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    away = shelf.says(*PULL_TINY, code=3)[-1]
    assert away.code == "hub_unreachable"
    assert "HF_ENDPOINT" in away.hint and str(shelf.hub_cache) in away.hint


def test_what_was_fetched_can_be_removed_once_somebody_says_so(shelf: Shelf) -> None:
    here = shelf.says(*PULL_TINY)[-1]
    [plan] = shelf.says("remove", "tiny")
    assert isinstance(plan, Removal)
    assert (plan.used_as, plan.is_done) == (("transcriber",), False)
    assert plan.freed_bytes >= here.size_bytes
    assert Path(here.path).is_dir()
    [done] = shelf.says("remove", "tiny", "--yes")
    assert isinstance(done, Removal) and done.is_done
    assert not list(shelf.hub_cache.glob("**/*tiny*"))


def test_the_program_ends_with_whoever_asked_for_it(shelf: Shelf, hub: FakeHub) -> None:
    hub.stalls.add("model.bin")
    with shelf.start(*PULL_TINY) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.stdout.close()
        hub.stalls.clear()
        assert process.wait(timeout=20) != 0
