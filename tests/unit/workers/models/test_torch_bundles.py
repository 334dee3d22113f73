"""Files that come from no hub: torchaudio's bundles, over a line that breaks."""

import os
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from eventually import eventually
from fake_hub import FakeHub, a_hub

from config.model_names import ALIGNMENT_BUNDLES, BUNDLE_FILES
from ipc.model_messages import FileProgress, ModelInstalled, ModelMessage, ModelRefusal
from workers.model_manager.pull import Puller
from workers.model_manager.selection import ModelRequest
from workers.models import download
from workers.models.source import model_source
from workers.models.torch_bundles import bundle_file

GERMAN = ALIGNMENT_BUNDLES["de"]
FILE = BUNDLE_FILES[GERMAN]


def zipped(members: dict[str, bytes]) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


BUNDLE = zipped({"archive/data/0": os.urandom(2_000_000), "archive/version": b"3\n"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "RETRY_PAUSE_SECONDS", 0.0)
    with a_hub() as running:
        running.files = {FILE: BUNDLE}
        yield running


def said_by_pull(hub: FakeHub, folder: Path) -> list[ModelMessage]:
    said: list[ModelMessage] = []
    puller = Puller(said.append, folder, 0, f"{hub.address}/files/")
    puller.pull(ModelRequest(GERMAN, model_source(GERMAN, "wav2vec2", "whisperx")))
    return said


def test_a_bundle_comes_through_a_breaking_line_to_where_torch_looks(hub: FakeHub, tmp_path: Path) -> None:
    hub.breaks_at[FILE] = [1_000_000, 500_000]
    said = said_by_pull(hub, tmp_path)
    first, second, third = hub.gets(FILE)
    assert first == "" and second != third
    assert all(wanted.startswith("bytes=") for wanted in (second, third))
    assert bundle_file(GERMAN).read_bytes() == BUNDLE
    assert [file.name for file in bundle_file(GERMAN).parent.iterdir() if file.suffix != ".lock"] == [FILE]
    here = [one for one in said if isinstance(one, ModelInstalled)]
    assert here[0].fetched_bytes == len(BUNDLE)
    assert any(isinstance(one, FileProgress) and one.total_bytes == len(BUNDLE) for one in said)


def test_a_damaged_bundle_is_noticed_and_replaced_and_one_that_stays_damaged_is_refused(
    hub: FakeHub, tmp_path: Path
) -> None:
    middle = len(BUNDLE) // 2
    file = bundle_file(GERMAN)
    file.parent.mkdir(parents=True)
    file.write_bytes(BUNDLE[:middle] + bytes([BUNDLE[middle] ^ 1]) + BUNDLE[middle + 1 :])
    said_by_pull(hub, tmp_path)
    assert file.read_bytes() == BUNDLE
    file.unlink()
    hub.files[FILE] = BUNDLE[:-100]
    refused = [one for one in said_by_pull(hub, tmp_path) if isinstance(one, ModelRefusal)]
    assert [one.code for one in refused] == ["model_damaged"]
    assert [left.suffix for left in file.parent.iterdir()] == [".lock"]


def test_a_server_that_is_away_is_a_refusal(hub: FakeHub, tmp_path: Path) -> None:
    hub.files.clear()
    said = said_by_pull(hub, tmp_path)
    [refused] = [one for one in said if isinstance(one, ModelRefusal)]
    assert (refused.code, str(bundle_file(GERMAN)) in refused.hint) == ("server_unreachable", True)


def test_two_processes_that_want_the_same_bundle_fetch_each_byte_once(hub: FakeHub, tmp_path: Path) -> None:
    hub.stalls.add(FILE)
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(said_by_pull, hub, tmp_path)]
        eventually(lambda: len(hub.gets(FILE)) == 1, 10, "the first one fetches")
        pulls.append(pool.submit(said_by_pull, hub, tmp_path))
        waited = threading.Event()
        assert not waited.wait(1.0)
        hub.stalls.clear()
        fetched = [pull.result()[-1] for pull in pulls]
    assert [one.fetched_bytes for one in fetched if isinstance(one, ModelInstalled)] == [len(BUNDLE), 0]
    assert [wanted[:6] for wanted in hub.gets(FILE)] == ["", "bytes="]
    assert bundle_file(GERMAN).read_bytes() == BUNDLE


def test_a_server_that_accepts_and_never_answers_is_a_refusal(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    hub.silent.add(FILE)
    [refused] = [one for one in said_by_pull(hub, tmp_path) if isinstance(one, ModelRefusal)]
    assert (refused.code, "within 0.2 s" in refused.message) == ("server_unreachable", True)
    assert len(hub.asked) == 1
