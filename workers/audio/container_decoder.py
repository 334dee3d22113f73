"""One container of a recording → frames for the PCM writer, and counts of the packets that failed.

Runs in: worker.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ipc.failpoints import hit
from ipc.transcript import Track
from workers.audio.lost_stretches import FramesWithoutTimestamps, PacketsWithTimestamps
from workers.audio.recording_account import Container, RecordingAccount
from workers.audio.tracks import sound_tracks, tracks_to_try
from workers.container.box_extents import is_encrypted_mp4
from workers.container.cut_ends import end_of_packets, ends_in_the_middle
from workers.container.demuxers import (
    WITHOUT_TIMES,
    choose_stream,
    claimed_seconds,
    clock_may_jump,
    open_container,
    origin_seconds,
    reaches,
)
from workers.container.recording_extents import WAVPACK_SYNC, next_block, next_header, next_start, parts_of
from workers.container.recording_view import RecordingView
from workers.container.size_fields import Extent
from workers.engine import EngineRefusal
from workers.out_of_memory import is_out_of_memory
from workers.pcm.pcm_writer import PcmWriter, can_be_resampled
from workers.pcm.timeline import Timeline
from workers.recording.recording_file import Recording, refuse_unreadable

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

LONGEST_PACKET_BYTES = 32 * 1024 * 1024
"""No audio codec needs a packet this large; a packet that claims to be larger is skipped."""
FAILED_READS_ALLOWED = 50
"""Errors in a row. A demuxer resynchronises after a damaged place; one that does not would return the same error
forever."""
SLACK_SECONDS = 1.0
"""How far over the limit a recording may be: encoders round up to whole frames."""
CLAIM_TOLERANCE_SECONDS = 0.1
ENCODER_SAMPLES = 4096
"""The difference in samples between an encoder's length and a decoder's: encoder delay and last frame."""
XING_BYTES = 4096
"""An MP3 has its frame count within this many bytes, if at all."""
MOST_SCRATCHES = 1000
"""In one container. Each costs one more opening."""
GIVEN_UP_BYTES = 64 << 10
WITHOUT_HOLES = WITHOUT_TIMES | {"wv", "flac", "ogg", "wav", "w64", "aiff", "caf", "au"}
"""Containers whose timestamps cannot express a pause: missing frames were lost."""
STEP_PACKETS = 256
STEP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """The options of a recording's decoding."""

    longest_seconds: float
    """A longer recording is refused, before and while it is decoded."""
    track: int | None = None
    """Which sound track, counted from 1; None: chosen."""
    language: str | None = None
    """The job's language, if known: it decides between tracks."""


@dataclass(frozen=True, slots=True)
class ContainerDecoder:
    """Decodes the containers of one recording, one after the other, into one PCM file."""

    name: Path
    file: Recording
    writer: PcmWriter
    wish: DecodingOptions
    step: Callable[[float], None]
    account: RecordingAccount

    def alive(self) -> None:
        """Reports progress while nothing is decoded."""
        self.step(self.writer.seconds)

    def first_start(self) -> int:
        """The offset of the first container: after the tags, unless there are only tags."""
        start = next_start(self.file, 0, self.alive)
        return start if start < self.file.size else 0

    def read(self, extent: Extent) -> int:
        """Decodes one container; returns the byte after it."""
        if extent.kind == "mp4" and is_encrypted_mp4(self.file, extent.start):
            raise EngineRefusal(
                "encrypted",
                f"the sound of {self.name} is encrypted (DRM): its seller's program alone can play it",
                "record or buy it without copy protection",
            )
        base = self.writer.seconds
        if extent.sound_seconds is not None:
            self._refuse_too_long(base + extent.sound_seconds)
        result = Container(missing_bytes=max((extent.claimed_end or 0) - self.file.size, 0), read_on=extent.read_on)
        behind = extent.end
        parts = list(parts_of(extent))
        for part in parts:
            view = self._view(part)
            # Blocks of WavPack count samples from the recording's beginning, other parts from their own.
            part_base = base if part.kind == "other" else self.writer.seconds
            try:
                self._read_part(part, view, result, part_base)
            except EngineRefusal as refusal:
                if refusal.code == "not_media" and extent.kind == "mp4":
                    raise _no_index(self.name) from refusal
                raise
            behind = self._behind(part, view, result)
            self.account.zero_bytes += view.zeros_passed
            if (again := self._behind_a_scratch(part, result)) is not None and len(parts) < MOST_SCRATCHES:
                parts.append(replace(part, start=again))
        result.read_seconds = self.writer.seconds - base
        if result.read_seconds:
            result.is_cut = behind >= extent.sound_end and ends_in_the_middle(self.file, extent, extent.sound_end)
            self.account.containers.append(result)
            self.account.zero_bytes += extent.zero_bytes
        else:
            self.account.bytes_unread += behind - extent.start
        return behind

    def _behind_a_scratch(self, extent: Extent, result: Container) -> int | None:
        """Where WavPack continues after a damaged place that stopped FFmpeg; None: nowhere."""
        if self.file.read_at(extent.start, 4) != WAVPACK_SYNC:
            return None
        return next_block(self.file, extent.start + (result.last_byte or 1), extent.sound_end, self.alive)

    def _view(self, extent: Extent) -> RecordingView:
        return RecordingView(
            self.file,
            extent.start,
            extent.sound_end,
            self.alive,
            kind=extent.kind,
            prefix=extent.prefix,
            endless=extent.endless,
            scan_from=extent.scan_from,
        )

    def _read_part(self, extent: Extent, view: RecordingView, result: Container, base: float) -> None:
        """Decodes a part that begins `base` seconds after the PCM's start, by the container's own clock."""
        with open_container(self.name, view) as container:
            track = self._track(container)
            stream = choose_stream(container, track.number)
            view.opened()
            claimed = extent.claimed_seconds
            if claimed is None and extent.sound_seconds is None:
                claimed = claimed_seconds(container, stream, self.file.read_at(extent.start, XING_BYTES))
                if claimed is not None and base + claimed > self.wish.longest_seconds + SLACK_SECONDS:
                    whole = self._view(replace(extent, endless=False, scan_from=None))
                    size = extent.sound_end - extent.start
                    if reaches(self.name, whole, size, track.number, self.wish.longest_seconds - base, claimed):
                        self._refuse_too_long(base + claimed)
            result.claimed_seconds = result.claimed_seconds if claimed is None else claimed
            result.tolerance_seconds = CLAIM_TOLERANCE_SECONDS + (
                0.0 if extent.sound_seconds is not None else ENCODER_SAMPLES / max(stream.rate or 0, 8000)
            )
            hit("decoding_begun")
            timeline = Timeline(
                origin_seconds=origin_seconds(container) - base,
                claimed_seconds=base + (claimed or 0.0),
                longest_seconds=self.wish.longest_seconds,
                clock_may_jump=clock_may_jump(container),
            )
            self.writer.begin(timeline)
            silence = self.writer.silence_seconds
            if container.format.name in WITHOUT_TIMES:
                place: FramesWithoutTimestamps | PacketsWithTimestamps = FramesWithoutTimestamps(
                    self.file, view, extent
                )
            else:
                place = PacketsWithTimestamps(self.file, view, has_one_stream=len(container.streams) == 1)
            result.last_byte = self._write_all(container, stream, place)
            self.writer.flush()
            if container.format.name in WITHOUT_HOLES:
                self.account.seconds_lost += self.writer.silence_seconds - silence
            else:
                self.account.seconds_lost += place.seconds_lost
            self.account.seconds_repaired += timeline.repaired_seconds

    def _track(self, container: "InputContainer") -> Track:
        """The track to decode: in joined containers the same as in the first, if it is there."""
        tracks = sound_tracks(container)
        if self.account.tracks:
            decodable = {one.track.number: one.track for one in tracks if one.is_decodable}
            if self.account.track is not None and self.account.track.number in decodable:
                return decodable[self.account.track.number]
            return tracks_to_try(self.name, tracks, None, self.wish.language)[0]
        chosen = tracks_to_try(self.name, tracks, self.wish.track, self.wish.language)[0]
        self.account.tracks, self.account.track = tuple(tracks), chosen
        self.writer.listens_to_mono = len(tracks) > 1
        return chosen

    def _behind(self, extent: Extent, view: RecordingView, result: Container) -> int:
        """The byte after the part of a container that was read."""
        if view.end < extent.sound_end:
            return view.end  # another header ended it
        if extent.kind == "mpegts":
            # FFmpeg skips everything that is not a packet, frames of another recording included.
            return end_of_packets(self.file, extent.start, extent.sound_end) or extent.end
        if extent.endless and view.read_until < extent.sound_end - GIVEN_UP_BYTES:
            return view.read_until  # FFmpeg gave up in the middle
        if extent.kind == "other" and result.last_byte:
            # A header counts only after the end of this container's own frames.
            return min(next_header(self.file, extent.start + result.last_byte, self.alive), extent.end)
        return extent.end

    def _write_all(
        self,
        container: "InputContainer",
        stream: "AudioStream",
        place: FramesWithoutTimestamps | PacketsWithTimestamps,
    ) -> int:
        """Decodes every packet of the stream into the writer, and counts those that failed.

        Returns the byte after the last packet; 0: unknown.
        """
        import av

        last_byte = 0
        packets_since_step, seconds_at_step = 0, 0.0
        for packet in _packets(self.name, container, stream):
            packets_since_step += 1
            if packets_since_step >= STEP_PACKETS or self.writer.seconds - seconds_at_step >= STEP_SECONDS:
                packets_since_step, seconds_at_step = 0, self.writer.seconds
                self.alive()
            if packet is not None and packet.size > LONGEST_PACKET_BYTES:
                self._lost(packet, place)
                continue
            try:
                frames = stream.codec_context.decode(packet)
            except av.error.EOFError:
                continue
            except av.error.FFmpegError as error:
                if is_out_of_memory(error):
                    raise  # its content could leak from another process
                self._lost(packet, place)
                continue
            if packet is not None and packet.pos is not None:
                last_byte = max(last_byte, packet.pos + packet.size)
            for frame in frames:
                if not can_be_resampled(frame):
                    self._lost(packet, place)
                    continue
                if silence := place.silence_before(packet):
                    self.writer.append_silence(silence)
                silence_before = self.writer.silence_seconds
                self.writer.append(frame, has_times=place.has_time(packet, frame))
                place.taken(packet, self.writer.frame_seconds, self.writer.silence_seconds - silence_before)
                self._refuse_too_long(self.writer.seconds)

        return last_byte

    def _lost(
        self, packet: "Packet[AudioStream] | None", place: FramesWithoutTimestamps | PacketsWithTimestamps
    ) -> None:
        self.account.packets_lost += 1
        place.lost(packet)
        if isinstance(place, PacketsWithTimestamps) and packet is not None and packet.duration and packet.time_base:
            self.account.seconds_lost += float(packet.duration * packet.time_base)

    def _refuse_too_long(self, seconds: float) -> None:
        longest = self.wish.longest_seconds
        if seconds > longest + SLACK_SECONDS:
            raise EngineRefusal(
                "too_long",
                f"{self.name} lasts {seconds / 3600:.2f} h or more; the longest allowed is {longest / 3600:.2f} h",
                "split it, or raise media.longest_hours",
            )


def _no_index(name: Path) -> EngineRefusal:
    return EngineRefusal(
        "damaged",
        f"{name} is an MP4 or MOV file that its recorder never finished: the index is missing",
        "repair it with the recorder or a tool such as untrunc",
    )


def _packets(
    path: Path, container: "InputContainer", stream: "AudioStream"
) -> Iterator["Packet[AudioStream] | None"]:
    """The stream's packets across damaged places, then None, which flushes the decoder."""
    import av

    failed_reads = 0
    while failed_reads < FAILED_READS_ALLOWED:
        try:
            for packet in container.demux(stream):
                failed_reads = 0
                # PyAV's own flushing packet would come before a damaged place is passed.
                if packet.size:
                    yield packet
            break
        except av.error.FFmpegError:
            failed_reads += 1
        except OSError as error:
            # The disk or the share failed, not the recording: half of it would pass for all of it.
            refuse_unreadable(path, error)
    yield None
