"""What stands where a recording should stand and is none, and how it is refused.

Runs in: the chaos run.
"""

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from chaos.daemon.oracle import make

Maker = Callable[[Path, random.Random], None]
"""Puts something at the path, or nothing."""


def _content(content: bytes, path: Path, luck: random.Random) -> None:
    path.write_bytes(content)


def _noise_of_bytes(path: Path, luck: random.Random) -> None:
    path.write_bytes(b"\0\0" + luck.randbytes(200_000))


def _symlink(target: Path, path: Path, luck: random.Random) -> None:
    path.symlink_to(target)


def _loop(path: Path, luck: random.Random) -> None:
    path.symlink_to(path)


def _fifo(path: Path, luck: random.Random) -> None:
    os.mkfifo(path)


def _folder(path: Path, luck: random.Random) -> None:
    path.mkdir()


def _socket(path: Path, luck: random.Random) -> None:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(path))


def _locked(path: Path, luck: random.Random) -> None:
    make(path, 0, chunks=1)
    path.chmod(0)


def _only_pictures(path: Path, luck: random.Random) -> None:
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for number in range(20):
            image = av.VideoFrame(64, 64, "yuv420p")
            image.pts, image.time_base = number, Fraction(1, 10)
            file.mux(video.encode(image))
        file.mux(video.encode(None))


NO_FILES: tuple[tuple[str, Maker, str], ...] = (
    ("empty.wav", partial(_content, b""), "empty_file"),
    ("text.mp3", partial(_content, b"hello " * 1000), "not_media"),
    ("zip.m4a", partial(_content, b"PK\3\4" + bytes(1000)), "not_media"),
    ("zeros.wav", partial(_content, bytes(100_000)), "not_media"),
    ("junk.mp3", _noise_of_bytes, "not_media"),
    ("pictures.mp4", _only_pictures, "no_audio"),
    ("nowhere.wav", partial(_symlink, Path("/nowhere/at/all")), "not_found"),
    ("loop.wav", _loop, "is_a_symlink"),
    ("device.wav", partial(_symlink, Path("/dev/zero")), "not_a_regular_file"),
    ("fifo.wav", _fifo, "not_a_regular_file"),
    ("socket.wav", _socket, "not_a_regular_file"),
    ("folder.wav", _folder, "is_a_directory"),
    ("locked.wav", _locked, "not_readable"),
)
