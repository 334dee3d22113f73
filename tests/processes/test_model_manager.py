"""Models are fetched from a hub, checked, listed, opened without it and removed: the real program, the hub's real
library, a hub of our own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ctranslate2_model import model_bin, tiny_whisper
from eventually import eventually
from fake_hub import FakeHub, a_hub

from ipc.model_messages import MODEL_MESSAGE, FileProgress, ModelInstalled, ModelList, ModelRefusal, Removal
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


class ModelManager:
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

    @contextmanager
    def start(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """The running program; it is killed at the end, if it runs still."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "workers.model_manager", *words],
            env=self.environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def lines(self, *words: str, code: int = 0) -> list[bytes]:
        with self.start(*words) as process:
            said, complaints = process.communicate(timeout=60)
        assert process.returncode == code, complaints.decode() + said.decode()
        return said.splitlines()

    def says(self, *words: str, code: int = 0) -> list[Any]:
        return [MODEL_MESSAGE.validate_json(line) for line in self.lines(*words, code=code)]

    def findings(self) -> dict[str, Finding]:
        found = [Finding.model_validate_json(line) for line in self.lines("check")]
        return {finding.check: finding for finding in found}

    def blob(self, hub_id: str, file: str) -> Path:
        [pointer] = (self.hub_cache / f"models--{hub_id.replace('/', '--')}").glob(f"snapshots/*/{file}")
        return pointer.resolve()


@pytest.fixture
def model_manager(tmp_path: Path, hub: FakeHub) -> ModelManager:
    return ModelManager(tmp_path, hub.address)


def test_a_pulled_model_is_listed_found_whole_and_opened_without_a_word_to_the_hub(
    model_manager: ModelManager, hub: FakeHub, model: dict[str, bytes]
) -> None:
    missing = model_manager.findings()["transcriber_model"]
    assert (missing.state, missing.remedy) == ("broken", "steno models pull tiny")

    said = model_manager.says(*PULL_TINY)
    assert isinstance(said[-1], ModelInstalled)
    wanted = {name: content for name, content in model.items() if name != ".gitattributes"}
    assert said[-1].size_bytes == said[-1].fetched_bytes == sum(map(len, wanted.values()))
    arrived = [one for one in said if isinstance(one, FileProgress) and one.phase == "fetching"]
    assert {one.file: one.done_bytes for one in arrived} == {name: len(content) for name, content in wanted.items()}
    assert all(one.total_bytes == len(wanted[one.file]) for one in arrived)
    assert hub.gets("model.bin") == [""]  # once, and not by the other protocol its headers offer
    assert not [path for _, path, _ in hub.asked if path.startswith("/xet") or path.endswith(".gitattributes")]

    hub.asked.clear()
    assert model_manager.findings()["transcriber_model"].state == "ok"
    [line] = model_manager.lines("list")
    first = ModelList.model_validate_json(line).models[0]
    assert (first.name, first.id, first.state, first.used_as) == ("tiny", TINY, "whole", ("transcriber",))
    assert first.size_bytes == said[-1].size_bytes
    again = model_manager.says(*PULL_TINY)[-1]
    assert isinstance(again, ModelInstalled) and again.fetched_bytes == 0
    assert opened_by_worker(model_manager) == [said[-1].path, "0"]
    assert hub.asked == []


def test_a_worker_that_may_download_fetches_its_model_over_a_line_that_breaks(
    model_manager: ModelManager, hub: FakeHub, model: dict[str, bytes]
) -> None:
    model_manager.environment["HF_HUB_OFFLINE"] = "1"
    [refused] = opened_by_worker(model_manager)
    assert refused.startswith("needs_model") and "HF_HUB_OFFLINE" in refused
    [offline] = model_manager.says(*PULL_TINY, code=3)
    assert (offline.code, "unset it" in offline.hint) == ("offline", True)
    assert hub.asked == []

    del model_manager.environment["HF_HUB_OFFLINE"]
    hub.breaks_at["model.bin"] = [3_000_000]
    folder, steps = opened_by_worker(model_manager)
    assert (Path(folder) / "model.bin").read_bytes() == model["model.bin"]
    assert int(steps) > 0
    assert len(hub.gets("model.bin")) == 2


def opened_by_worker(model_manager: ModelManager) -> list[str]:
    """The folder and how often the worker told that bytes came; or its refusal."""
    opened = subprocess.run(
        [sys.executable, "-P", "-c", OPEN_AS_A_WORKER_DOES, str(model_manager.environment["STENO_HOME"])],
        env=model_manager.environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert opened.returncode == 0, opened.stderr
    return opened.stdout.splitlines()


OPEN_AS_A_WORKER_DOES = """
import sys
from pathlib import Path
from workers.engine import EngineRefusal
from workers.models.find import find_model
steps = []
try:
    print(find_model("tiny", "whisperx", Path(sys.argv[1]), allow_download=True, downloading=lambda: steps.append(1)))
    print(len(steps))
except EngineRefusal as refusal:
    print(refusal.code, refusal.message)
"""


def test_an_interrupted_pull_continues_where_it_stopped(
    model_manager: ModelManager, hub: FakeHub, model: dict[str, bytes]
) -> None:
    # It cannot continue a file; who has set it for other programs loses nothing here.
    model_manager.environment["HF_HUB_ENABLE_HF_TRANSFER"] = "1"
    hub.stalls.add("model.bin")
    with model_manager.start(*PULL_TINY) as process:
        incomplete = lambda: list(model_manager.hub_cache.glob("*/blobs/*.incomplete"))  # noqa: E731
        eventually(lambda: any(part.stat().st_size > 1_000_000 for part in incomplete()), 20, "half of it is here")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    [part] = incomplete()
    here = part.stat().st_size
    assert 0 < here < len(model["model.bin"])
    [line] = model_manager.lines("list")
    assert "continues" in ModelList.model_validate_json(line).models[0].why

    hub.stalls.clear()
    hub.asked.clear()
    said = model_manager.says(*PULL_TINY)
    assert hub.gets("model.bin") == [f"bytes={here}-"]
    assert isinstance(said[-1], ModelInstalled)
    assert said[-1].fetched_bytes < said[-1].size_bytes
    assert model_manager.blob(TINY, "model.bin").read_bytes() == model["model.bin"]


def test_a_line_that_breaks_is_opened_again_and_a_file_that_arrives_damaged_is_fetched_again(
    model_manager: ModelManager, hub: FakeHub, model: dict[str, bytes]
) -> None:
    hub.breaks_at["model.bin"] = [3_000_000]
    hub.corrupts["tokenizer.json"] = 1
    assert isinstance(model_manager.says(*PULL_TINY)[-1], ModelInstalled)
    whole, rest = hub.gets("model.bin")
    assert whole == "" and int(rest.removeprefix("bytes=").removesuffix("-")) >= 2_000_000
    assert hub.gets("tokenizer.json") == ["", ""]
    assert model_manager.blob(TINY, "model.bin").read_bytes() == model["model.bin"]

    hub.corrupts["vocabulary.txt"] = 2
    model_manager.blob(TINY, "vocabulary.txt").unlink()
    refused = model_manager.says(*PULL_TINY, code=3)[-1]
    assert isinstance(refused, ModelRefusal)
    assert (refused.code, "vocabulary.txt" in refused.message) == ("model_damaged", True)


def test_one_changed_byte_on_the_disk_is_found_and_fixed_by_its_remedy(
    model_manager: ModelManager, hub: FakeHub
) -> None:
    model_manager.lines(*PULL_TINY)
    blob = model_manager.blob(TINY, "model.bin")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    damaged = model_manager.findings()["transcriber_model"]
    assert (damaged.state, damaged.remedy) == ("broken", "steno models pull tiny; then `steno restart transcriber`")
    hub.asked.clear()
    command, _, _ = damaged.remedy.partition(";")
    fixed = model_manager.says(*command.split()[2:])[-1]
    assert isinstance(fixed, ModelInstalled)
    assert fixed.fetched_bytes == len(content)
    assert (hub.gets("model.bin"), hub.gets("config.json")) == ([""], [])
    assert model_manager.findings()["transcriber_model"].state == "ok"


def test_a_language_brings_its_aligner_with_one_kind_of_weights(model_manager: ModelManager, hub: FakeHub) -> None:
    del model_manager.environment["STENO_ALIGNMENT_MODEL"]
    said = model_manager.says("pull", "--lang", "nl")
    assert [one.name for one in said if isinstance(one, ModelInstalled)] == ["tiny", DUTCH]
    assert hub.gets("model.safetensors") == [""]
    assert hub.gets("pytorch_model.bin") == []
    model_manager.environment["STENO_LANGUAGE"] = "nl"
    assert {check: one.state for check, one in model_manager.findings().items()} == {
        "transcriber_model": "ok",
        "alignment_model": "ok",
    }


def test_a_hub_that_is_away_or_has_no_such_model_and_a_full_disk_are_refusals_that_say_what_to_do(
    model_manager: ModelManager, hub: FakeHub
) -> None:
    hub.repositories["some/notes"] = {"README.md": b"#"}
    refused = model_manager.says("pull", "nobody/nothing", "some/notes", "tyni", code=3)
    assert {one.name: one.code for one in refused if isinstance(one, ModelRefusal)} == {
        "nobody/nothing": "no_such_model",
        "some/notes": "not_a_model",
        "tyni": "unknown_model",
    }
    model_manager.environment["STENO_MEDIA_FREE_DISK_FLOOR_MB"] = "1000000000"
    assert model_manager.says(*PULL_TINY, code=3)[-1].code == "disk_full"
    assert hub.gets("model.bin") == []
    model_manager.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    away = model_manager.says(*PULL_TINY, code=3)[-1]
    assert away.code == "hub_unreachable"
    assert "HF_ENDPOINT" in away.hint and str(model_manager.hub_cache) in away.hint


def test_what_was_fetched_can_be_removed_once_the_owner_says_so(model_manager: ModelManager) -> None:
    here = model_manager.says(*PULL_TINY)[-1]
    [plan] = model_manager.says("remove", "tiny")
    assert isinstance(plan, Removal)
    assert (plan.used_as, plan.is_done) == (("transcriber",), False)
    assert plan.freed_bytes >= here.size_bytes
    assert Path(here.path).is_dir()
    # huggingface_hub's own scan calls such a repository corrupted and leaves it out.
    model_manager.blob(TINY, "vocabulary.txt").unlink()
    [done] = model_manager.says("remove", "tiny", "--yes")
    assert isinstance(done, Removal) and done.is_done
    assert not list(model_manager.hub_cache.glob("**/*tiny*"))


def test_the_program_ends_with_the_client_that_started_it(model_manager: ModelManager, hub: FakeHub) -> None:
    hub.stalls.add("model.bin")
    with model_manager.start(*PULL_TINY) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.stdout.close()
        hub.stalls.clear()
        assert process.wait(timeout=20) != 0


@pytest.mark.parametrize("question", [f"/api/models/{TINY}", f"/api/models/{TINY}/revision/main"])
def test_a_hub_that_accepts_and_never_answers_is_refused_within_a_deadline(
    model_manager: ModelManager, hub: FakeHub, question: str
) -> None:
    hub.silent.add(question)
    model_manager.environment |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    started = time.monotonic()
    [refused] = model_manager.says(*PULL_TINY, code=3)
    assert time.monotonic() - started < 20
    assert (refused.code, "within 1 s" in refused.message) == ("hub_unreachable", True)
    assert "HF_ENDPOINT" in refused.hint
    assert hub.gets("model.bin") == []


def test_two_pulls_at_once_fetch_each_byte_once(
    model_manager: ModelManager, hub: FakeHub, model: dict[str, bytes]
) -> None:
    hub.stalls.add("model.bin")
    with model_manager.start(*PULL_TINY) as one, model_manager.start(*PULL_TINY) as other:
        heads = lambda: [path for verb, path, _ in hub.asked if verb == "HEAD" and path.endswith("model.bin")]  # noqa: E731
        eventually(lambda: len(heads()) == 2 and len(hub.gets("model.bin")) == 1, 20, "both want the same file")
        hub.stalls.clear()
        said = [process.communicate(timeout=60) for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    whole, rest = hub.gets("model.bin")
    assert (whole, rest.startswith("bytes=")) == ("", True)
    assert model_manager.blob(TINY, "model.bin").read_bytes() == model["model.bin"]
