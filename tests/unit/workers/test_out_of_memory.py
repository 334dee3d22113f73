"""A process short of memory says so in many words; its job must go to another, and nothing be passed over for it.

Runs in: the test process.
"""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import av
import pytest

from workers.audio.container_decoder import ContainerDecoder, DecodingOptions
from workers.audio.recording_account import RecordingAccount
from workers.engine import EngineRefusal
from workers.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        av.error.FFmpegError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libx265.so.216: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("unable to start watchdog thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=repr,
)
def test_want_of_memory_is_known_by_whatever_name(error: Exception) -> None:
    assert is_out_of_memory(error)
    refusal = EngineRefusal("damaged", "it cannot be read", "")
    refusal.__cause__ = error
    assert is_out_of_memory(refusal)


@pytest.mark.parametrize("error", [ValueError("bad_alloc"), RuntimeError("shapes differ"), OSError(errno.EIO, "EIO")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_a_packet_that_only_wanted_memory_is_not_passed_over_as_a_damaged_one() -> None:
    def decode(packet: object) -> NoReturn:
        raise av.error.FFmpegError(errno.ENOMEM, "Cannot allocate memory")

    packet = SimpleNamespace(size=10)
    container: Any = SimpleNamespace(demux=lambda stream: [packet])
    stream: Any = SimpleNamespace(codec_context=SimpleNamespace(decode=decode))
    writer: Any = SimpleNamespace(seconds=0.0)
    file: Any = None
    place: Any = None
    decoder = ContainerDecoder(
        Path("a.wav"), file, writer, DecodingOptions(10.0), lambda seconds: None, RecordingAccount(10)
    )
    with pytest.raises(av.error.FFmpegError):
        decoder._write_all(container, stream, place)
