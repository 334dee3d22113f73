"""An untrusted file → 16 kHz mono s16 PCM on disk, in bounded memory, with PyAV and no ffmpeg program.

Runs in: worker. A recording may be hostile, cut off or scratched; it costs what it is worth and nothing more.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog

from ipc.fault_points import reached
from ipc.transcript import RecordingFacts
from workers.engine import EngineRefusal
from workers.media_container import choose_stream, claimed_seconds, open_container, origin_seconds, reaches
from workers.pcm_file import pcm_seconds
from workers.pcm_writer import PcmWriter, Timeline, can_be_resampled, pcm_writer
from workers.recording_file import Recording, open_recording, refuse_changed, refuse_unreadable
from workers.want_of_memory import is_want_of_memory

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

LONGEST_PACKET_BYTES = 32 * 1024 * 1024
"""No codec for sound needs a packet this large; what claims to is skipped."""
FAILED_READS_ALLOWED = 50
"""In a row. A demuxer finds its way again after a scratch; one that does not would return the same error for ever."""
SLACK_SECONDS = 1.0
"""How far over the cap a recording may be: encoders round a recording up to whole frames."""
STEP_PACKETS = 256
STEP_SECONDS = 10.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DecodingWish:
    """What is asked of a recording's decoding."""

    longest_seconds: float
    """What lasts longer is refused, before and while decoding."""
    track: int | None = None
    """Which sound track, counted from 1; None: chosen."""
    language: str | None = None
    """The job's language, where it is known: it chooses among tracks."""


def decode(
    path: Path, pcm_path: Path, wish: DecodingWish, step: Callable[[float], None]
) -> tuple[float, RecordingFacts | None]:
    """Write the recording's sound to `pcm_path`; its seconds, and what was read of the recording.

    The times in the PCM are those a player shows: a late sound track and holes in it become silence. What is
    damaged is skipped, what is cut off ends early. An existing `pcm_path` is used as it is: no facts then.

    `step` is told the seconds done, often; what it raises ends the decoding. Nothing unfinished is left behind.
    Raises EngineRefusal: `not_found`, `is_a_symlink`, `not_a_regular_file`, `not_readable`, `empty_file`,
    `not_media`, `no_audio`, `too_long`, `damaged`, `disk_full`, `spool_failed`, `changed_while_read`.
    """
    if pcm_path.exists():
        return pcm_seconds(pcm_path), None
    step(0.0)
    with open_recording(path) as file:
        reached("recording_opened")
        try:
            with pcm_writer(pcm_path) as writer:
                facts = decode_recording(path, file, writer, wish, step)
                if file.has_changed:
                    refuse_changed(path)
        except EngineRefusal as refusal:
            if file.has_changed:
                refuse_changed(path, refusal)
            raise
    return writer.seconds, facts


def decode_recording(
    name: Path, file: Recording, writer: PcmWriter, wish: DecodingWish, step: Callable[[float], None]
) -> RecordingFacts:
    """Write the sound of an open recording, which refusals call `name`. Raises EngineRefusal as `decode`."""
    with open_container(name, file) as container:
        stream = choose_stream(name, container)
        origin, claimed = origin_seconds(container), claimed_seconds(container, stream)
    longest = wish.longest_seconds
    if claimed > longest + SLACK_SECONDS and reaches(name, file, longest, claimed):
        _refuse_too_long(name, claimed, longest)
    reached("decoding_begun")
    writer.begin(Timeline(origin_seconds=origin, claimed_seconds=claimed, longest_seconds=longest))
    with open_container(name, file) as container:
        skipped = _write_all(name, container, choose_stream(name, container), writer, longest, step)
        writer.flush()
    if writer.seconds == 0:
        raise EngineRefusal(
            "damaged",
            f"no sound could be decoded from {name}",
            "play it in another program; if that works, export it from there as WAV or FLAC",
        )
    log.info(
        "recording_decoded",
        seconds=round(writer.seconds, 3),
        packets_skipped=skipped,
        silence_inserted_seconds=round(writer.silence_seconds, 3),
    )
    return RecordingFacts(
        size_bytes=os.fstat(file.fileno()).st_size, read_seconds=writer.seconds - writer.silence_seconds
    )


def _write_all(
    path: Path,
    container: "InputContainer",
    stream: "AudioStream",
    writer: PcmWriter,
    longest: float,
    step: Callable[[float], None],
) -> int:
    """Decode every packet of the stream into the writer. Returns how many could not be used."""
    import av

    skipped = 0
    packets_since_step, seconds_at_step = 0, 0.0
    for packet in _packets(path, container, stream):
        packets_since_step += 1
        if packets_since_step >= STEP_PACKETS or writer.seconds - seconds_at_step >= STEP_SECONDS:
            packets_since_step, seconds_at_step = 0, writer.seconds
            step(writer.seconds)
        if packet is not None and packet.size > LONGEST_PACKET_BYTES:
            skipped += 1
            continue
        try:
            frames = stream.codec_context.decode(packet)
        except av.error.EOFError:
            continue
        except av.error.FFmpegError as error:
            if is_want_of_memory(error):
                raise  # what it holds could be heard in another process
            skipped += 1
            continue
        for frame in frames:
            if not can_be_resampled(frame):
                skipped += 1
                continue
            writer.append(frame)
            if writer.seconds > longest + SLACK_SECONDS:
                _refuse_too_long(path, writer.seconds, longest)
    return skipped


def _packets(
    path: Path, container: "InputContainer", stream: "AudioStream"
) -> Iterator["Packet[AudioStream] | None"]:
    """The stream's packets over all scratches, then None: the decoder gives what it holds back."""
    import av

    failed_reads = 0
    while failed_reads < FAILED_READS_ALLOWED:
        try:
            for packet in container.demux(stream):
                failed_reads = 0
                # PyAV's own flushing packet would come before a scratch is passed.
                if packet.size:
                    yield packet
            break
        except av.error.FFmpegError:
            failed_reads += 1
        except OSError as error:
            # The disk or the share failed, not the recording: half of it would be a lie.
            refuse_unreadable(path, error)
    yield None


def _refuse_too_long(path: Path, seconds: float, longest_seconds: float) -> NoReturn:
    raise EngineRefusal(
        "too_long",
        f"{path} lasts {seconds / 3600:.2f} h or more; the longest allowed is {longest_seconds / 3600:.2f} h",
        "split it, or raise media.longest_hours",
    )
