"""Lost or overwritten parts of a recording: their duration, estimated from their bytes.

Runs in: worker (the decoder).

A part in the middle that cannot be decoded becomes silence of its length, so what follows keeps its time. The account
reports it.
"""

from typing import TYPE_CHECKING

from workers.container.cut_ends import adts_frame_bytes
from workers.container.header_marks import FRAMES_HEAD, FRAMES_IN_A_ROW, adts_frames
from workers.container.recording_view import RecordingView
from workers.container.size_fields import Extent
from workers.container.zero_runs import start_of_data
from workers.pcm.timeline import LEAST_GAP_SECONDS, LONGEST_GAP_SECONDS
from workers.recording.recording_file import Recording

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

    SoundPacket = Packet[AudioStream] | None

BLOCK_BYTES = 1 << 20
PREFIX_BYTES = 24
"""This share of a packet is found again if FFmpeg skipped something in it."""
LEAST_ZERO_RUN = bytes(4096)
"""No codec and no container writes this many zeros between two packets of sound."""
LEAST_LOST_BYTES = 2048
LOST_SHARE = 0.5
"""A pause takes no bytes. A lost part takes at least this share of the bytes that its seconds of sound would."""
LEAST_RATE_CHANGE = 0.02
"""The difference between a packet's duration and its frame's if FFmpeg counts with the rate of an earlier
recording."""


class FramesWithoutTimestamps:
    """Consecutive frames without timestamps: the bytes of a lost part give its duration."""

    def __init__(self, file: Recording, view: RecordingView, extent: Extent) -> None:
        self._file, self._view, self._extent = file, view, extent
        self._bytes = 0
        self._seconds = 0.0
        self._lost_bytes = 0
        # FFmpeg's ADTS demuxer counts only the bytes of frames: this is the size of what it skipped.
        self._passed_over = 0
        self._lost_until = 0
        self.seconds_lost = 0.0
        """Seconds of silence in place of lost parts."""

    def has_time(self, packet: "SoundPacket", frame: "AudioFrame") -> bool:
        return False

    def lost(self, packet: "SoundPacket") -> None:
        """Notes a packet that could not be decoded; it may contain all of the overwritten part."""
        if packet is None or packet.pos is None:
            return
        if self._extent.kind == "adts":
            self._lost_bytes += self._bytes_behind(packet)
        else:
            self._lost_bytes += self._view.byte_at(packet.pos + packet.size) - self._view.byte_at(packet.pos)

    def silence_before(self, packet: "SoundPacket") -> float:
        """Seconds lost before this packet, which could be decoded; 0 if the bytes are padding."""
        lost, self._lost_bytes = self._lost_bytes, 0
        if not lost or not self._bytes:
            return 0.0
        seconds = lost * self._seconds / self._bytes
        if seconds > LONGEST_GAP_SECONDS:
            return 0.0
        self.seconds_lost += seconds
        return seconds

    def taken(self, packet: "SoundPacket", seconds: float, silence_seconds: float) -> None:
        """Notes a frame that was written."""
        if packet is not None:
            self._bytes += packet.size
            self._seconds += seconds

    def _bytes_behind(self, packet: "Packet[AudioStream]") -> int:
        """The bytes from an ADTS packet to the next frame.

        FFmpeg does not report what it skipped, such as the tags of a radio: the packet itself shows its position.
        """
        assert packet.pos is not None  # checked by the caller
        expected = self._extent.start + packet.pos + self._passed_over
        low = max(self._extent.start, expected - BLOCK_BYTES // 4)
        window, content = self._file.read_at(low, BLOCK_BYTES), bytes(packet)
        found = window.find(content)
        if found < 0 and (found := window.find(content[:PREFIX_BYTES])) < 0:
            return 0  # fragments of the overwriting bytes
        begin = max(low + found, self._lost_until)
        end = low + found + packet.size
        if end <= begin:
            return 0
        self._lost_until = self._next_frames(end) or end
        self._passed_over = self._lost_until - self._extent.start - packet.pos - packet.size
        return self._lost_until - begin

    def _next_frames(self, at: int) -> int | None:
        last = min(self._view.end, at + self._longest_gap_bytes())
        if adts_frame_bytes(self._file.read_at(at, 7)):
            return at
        while at < last:
            at = start_of_data(self._file, at, last, self._view.alive)
            block = self._file.read_at(at, BLOCK_BYTES + FRAMES_HEAD)
            found = block.find(b"\xff", 0, BLOCK_BYTES)
            while found >= 0:
                if adts_frames(block[found : found + FRAMES_HEAD]) >= FRAMES_IN_A_ROW:
                    return at + found
                found = block.find(b"\xff", found + 1, BLOCK_BYTES)
            at += BLOCK_BYTES
        return None

    def _longest_gap_bytes(self) -> int:
        return round(self._bytes * LONGEST_GAP_SECONDS / self._seconds) if self._seconds else BLOCK_BYTES


class PacketsWithTimestamps:
    """Packets with timestamps, which place the sound; the bytes between two packets tell a pause from a loss."""

    def __init__(self, file: Recording, view: RecordingView, *, has_one_stream: bool) -> None:
        self._file, self._view = file, view
        self._has_one_stream = has_one_stream
        self._first_byte: int | None = None
        self._last_byte = 0
        self._seconds = 0.0
        self._is_corrupt = False
        self._told_seconds = 0.0
        self.seconds_lost = 0.0
        """Seconds of silence in place of bytes that could not be read."""

    def has_time(self, packet: "SoundPacket", frame: "AudioFrame") -> bool:
        """Whether the frame's timestamp comes from the recording.

        In broadcasts only some packets have one. Between them FFmpeg counts with the rate of the first recording,
        which is wrong if a recording of another rate was joined to it.
        """
        if packet is None or packet.pos is not None or not packet.duration or not packet.time_base:
            return True
        counted, true = float(packet.duration * packet.time_base), frame.samples / frame.sample_rate
        return abs(counted - true) <= LEAST_RATE_CHANGE * true

    def lost(self, packet: "SoundPacket") -> None:
        """Notes a packet that could not be decoded: its time stays silent, and its length is counted already."""
        if packet is not None and packet.duration and packet.time_base:
            self._told_seconds += float(packet.duration * packet.time_base)

    def silence_before(self, packet: "SoundPacket") -> float:
        """Always 0: a later timestamp leaves the gap itself."""
        return 0.0

    def taken(self, packet: "SoundPacket", seconds: float, silence_seconds: float) -> None:
        """Notes a frame that was written, `silence_seconds` after the one before it."""
        if packet is None:
            return
        self._is_corrupt |= packet.is_corrupt
        if silence_seconds >= LEAST_GAP_SECONDS and self._is_loss(packet, silence_seconds):
            self.seconds_lost += max(silence_seconds - self._told_seconds, 0.0)
        self._told_seconds = 0.0
        self._seconds += seconds
        if packet.pos is not None:
            self._first_byte = packet.pos if self._first_byte is None else self._first_byte
            self._last_byte = packet.pos + packet.size
            self._is_corrupt = False

    def _is_loss(self, packet: "Packet[AudioStream]", seconds: float) -> bool:
        """Whether bytes are missing before a packet that comes `seconds` after the one before it."""
        if self._is_corrupt:
            return True
        if packet.pos is None or self._first_byte is None:
            return False
        start, end = self._view.byte_at(self._last_byte), self._view.byte_at(packet.pos)
        if end - start < LEAST_LOST_BYTES:
            return False
        rate = (self._last_byte - self._first_byte) / max(self._seconds, LEAST_GAP_SECONDS)
        if self._has_one_stream and end - start >= LOST_SHARE * rate * seconds:
            return True
        for at in range(start, end, BLOCK_BYTES):
            self._view.alive()
            if LEAST_ZERO_RUN in self._file.read_at(at, min(BLOCK_BYTES + len(LEAST_ZERO_RUN), end - at)):
                return True
        return False
