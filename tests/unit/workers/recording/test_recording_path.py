"""The way to a recording below a watched folder, in one call and step by step."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.engine import EngineRefusal
from workers.recording import recording_path
from workers.recording.recording_path import open_beneath, open_step_by_step, opened_recording

Way = Callable[[int, tuple[str, ...]], int]


@pytest.fixture(params=[open_beneath, open_step_by_step])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def root(tmp_path: Path) -> int:
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "root" / "inner" / "a.wav").write_bytes(b"sound")
    (tmp_path / "outside.wav").write_bytes(b"other")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "root" / "inner")
    (tmp_path / "root" / "inner" / "link.wav").symlink_to("a.wav")
    (tmp_path / "root" / "inner" / "out.wav").symlink_to(tmp_path / "outside.wav")
    return os.open(tmp_path / "root", os.O_RDONLY)


def test_a_file_is_found_below_the_folder_and_nothing_stays_open(way: Way, root: int) -> None:
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    descriptor = way(root, ("inner", "a.wav"))
    assert os.read(descriptor, 5) == b"sound"
    os.close(descriptor)
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("steps", [("link", "a.wav"), ("inner", "link.wav"), ("inner", "out.wav")])
def test_no_link_is_a_step(way: Way, root: int, steps: tuple[str, ...]) -> None:
    with pytest.raises(OSError) as caught:
        way(root, steps)
    assert caught.value.errno == errno.ELOOP


def test_what_is_not_there_is_told_as_that(way: Way, root: int) -> None:
    with pytest.raises(FileNotFoundError):
        way(root, ("inner", "b.wav"))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_the_call_is_no_hindrance(number: int, root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(root: int, steps: str) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(recording_path, "_openat2", without)
    os.close(open_beneath(root, ("inner", "a.wav")))


@pytest.mark.parametrize("path", ["{root}/inner/../../outside.wav", "{root}", "{root}/inner/a\0.wav"])
def test_a_path_that_leads_out_or_nowhere_is_refused(path: str, root: int, tmp_path: Path) -> None:
    whole = Path(path.format(root=tmp_path / "root"))
    with pytest.raises(EngineRefusal), opened_recording(whole, None, tmp_path / "root"):
        pass
