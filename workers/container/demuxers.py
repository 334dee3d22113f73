"""The limits of FFmpeg on an untrusted file: which containers, which codecs, which track, and no other file.

Runs in: worker. The content decides the format, never the name: FFmpeg gets an open file without a name.
"""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from workers.container.header_marks import counted_seconds
from workers.engine import EngineRefusal
from workers.recording.recording_file import refuse_unreadable

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Sound alone, then sound with pictures. Playlists (hls, dash, concat), image sequences, scripts and devices are left
# out on purpose: they make FFmpeg open other files (CVE-2016-1897, CVE-2017-9993). So are amrnb and amrwb, which read
# AMR without its header: any repetitive text looks like it.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dts,dtshd,eac3,flac,loas,mp3,mpc,mpc8,ogg,qcp,tak,tta,truehd,voc,"
    "w64,wav,wv,xwma,"
    "avi,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mxf"
)
"""The containers we read, by FFmpeg's names."""

LONGEST_FRAME_SAMPLES = 8 * 1024 * 1024
"""Samples in one frame, all channels together; the codec refuses more before it allocates the memory."""
WITHOUT_TIMES = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "dtshd", "loas", "amr", "truehd"})
"""Formats of consecutive frames without timestamps. FFmpeg counts timestamps up for them, rounded and with the first
rate even where the rate changes. The position of a frame is its sample count."""
ESTIMATED = WITHOUT_TIMES | {"asf", "ogg", "mpeg", "mpegts", "qcp"}
"""Containers without a duration: FFmpeg guesses."""
AS_A_WHOLE = frozenset({"matroska,webm", "flv"})
"""Containers with a duration of the whole, but none for each track."""
LEAST_MP3_BYTES_A_SECOND = 900
"""MP3 has no bit rate below 8 kbit/s."""


class Readable(Protocol):
    """As much of a file object as FFmpeg needs."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int: ...
    def tell(self) -> int: ...


class _OpensOtherFiles(Exception):
    """A demuxer asked for a second file."""


@contextmanager
def open_container(path: Path, file: "Readable") -> Iterator["InputContainer"]:
    """The opened container. Raises EngineRefusal `not_media`, `not_readable`."""
    import av

    def refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
        raise _OpensOtherFiles(url)

    file.seek(0)
    try:
        container = av.open(
            file,
            mode="r",
            options={
                "format_whitelist": DEMUXERS,
                "protocol_whitelist": "none",
                "codec_whitelist": _sound_decoders(),
            },
            io_open=refuse_to_open,
            # A tag in another encoding than UTF-8 must not cost a recording.
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, _OpensOtherFiles) as error:
        raise EngineRefusal(
            "not_media", f"{path} is not a sound or video file that can be read", "convert it to WAV or FLAC"
        ) from error
    except OSError as error:
        # After FFmpeg's own errors, some of which are OSErrors too: this one came from our read.
        refuse_unreadable(path, error)
    with container:
        yield container


@functools.cache
def _sound_decoders() -> str:
    """All audio decoders: FFmpeg would also decode pictures while it probes a file."""
    import av

    return ",".join(sorted(name for name in av.codecs_available if _decodes_sound(name)))


def _decodes_sound(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "r").type == "audio")
    except av.codec.codec.UnknownCodecError:
        # An encoder only.
        return False


def choose_stream(container: "InputContainer", track: int) -> "AudioStream":
    """The sound track of this number, counted from 1, which can be decoded; all other streams are left out."""
    from av.stream import Discard

    chosen = container.streams.audio[track - 1]
    for stream in container.streams:
        if stream is not chosen:
            # Skips gigabytes of pictures if the container has an index.
            stream.discard = Discard.all
    chosen.codec_context.options = {"max_samples": str(LONGEST_FRAME_SAMPLES)}
    if chosen.codec_context.name == "tta":
        # Otherwise overwritten bytes become noise. Other decoders check their checksums anyway.
        chosen.codec_context.options |= {"err_detect": "crccheck+explode"}
    return chosen


def origin_seconds(container: "InputContainer") -> float:
    """The timestamp that a player shows as 0:00: the earliest start of any stream."""
    import av

    return 0.0 if container.start_time is None else float(container.start_time / av.time_base)


def clock_may_jump(container: "InputContainer") -> bool:
    """Whether it is a broadcast: FFmpeg and players treat a jump of its timestamps as a jump of its clock."""
    from av.format import Flags

    return bool(Flags(container.format.flags) & Flags.ts_discont)


def claimed_seconds(container: "InputContainer", stream: "AudioStream", first_bytes: bytes) -> float | None:
    """The duration in seconds that the container claims; None: it claims none, or FFmpeg only guesses.

    `first_bytes` are those of the first frame, which holds the frame count of an MP3.
    """
    import av

    name = container.format.name
    if name == "mp3":
        return counted_seconds(first_bytes)
    if name in ESTIMATED:
        return None
    if found := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if stream.duration and stream.time_base is not None and name not in AS_A_WHOLE:
        return float(stream.duration * stream.time_base)
    # They know when the longest stream ends, pictures included.
    is_alone = len(container.streams) == len(container.streams.audio) == 1
    return float(container.duration / av.time_base) if container.duration and is_alone else None


def reaches(path: Path, file: "Readable", size: int, track: int, seconds: float, claimed_seconds: float) -> bool:
    """Whether this track has sound after `seconds`, found by seeking in these `size` bytes.

    Headers can be wrong: a recorder that lost power leaves the length that it wrote at the start.
    """
    import av

    with open_container(path, file) as container:
        if container.format.name == "mp3":
            # FFmpeg seeks in an MP3 by the claimed duration itself, so the claim is checked against the size.
            return size >= claimed_seconds * LEAST_MP3_BYTES_A_SECOND
        stream = choose_stream(container, track)
        target = origin_seconds(container) + seconds
        tick = float(stream.time_base or 0)
        if not tick:
            return False
        try:
            container.seek(int(target / tick), stream=stream)
            for packet in container.demux(stream):
                if packet.pts is not None and packet.pts * tick >= target:
                    return True
        except (av.error.FFmpegError, OSError):
            # Decoding will meet the same error and report it.
            return False
    return False
