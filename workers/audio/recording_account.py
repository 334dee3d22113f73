"""What was read of a recording and what was not: counted while it is decoded, reported in words.

Runs in: worker. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ipc.transcript import Damage, RecordingFacts, Track
from workers.audio.tracks import SoundTrack

LEAST_BYTES_UNREAD = 4096
"""Fewer bytes after the sound are a tag."""
LEAST_LOST_SECONDS = 0.1
LEAST_LOST_PACKETS = 3
"""Encoders start, and broadcasts are cut, in the middle of a packet: one or two lost packets cost no word."""
LEAST_REPAIR_SECONDS = 1.0
BYTE_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))


@dataclass(slots=True)
class Container:
    """The outcome of one container of a recording."""

    read_seconds: float = 0.0
    """Where its sound ended, in seconds from its start."""
    claimed_seconds: float | None = None
    """The duration that it claims; None: it claims none."""
    tolerance_seconds: float = 0.1
    """By how much a whole recording may be shorter than it claims: encoders round to frames."""
    missing_bytes: int = 0
    """How far its size fields reach beyond the end of the file."""
    last_byte: int = 0
    """The byte after its last packet, from its beginning; 0: unknown."""
    is_cut: bool = False
    """True: its last frame is incomplete."""
    read_on: bool = False
    """True: sound followed the end that its size field claims."""

    @property
    def is_short(self) -> bool:
        """Whether it has less sound than it claims."""
        return self.claimed_seconds is not None and (
            self.read_seconds < self.claimed_seconds - self.tolerance_seconds
        )


@dataclass(slots=True)
class RecordingAccount:
    """The account of one recording's decoding."""

    size_bytes: int
    tracks: tuple[SoundTrack, ...] = ()
    """The sound tracks of the first container that has any."""
    track: Track | None = None
    """The track that is decoded."""
    containers: list[Container] = field(default_factory=list)
    bytes_unread: int = 0
    zero_bytes: int = 0
    packets_lost: int = 0
    seconds_lost: float = 0.0
    """Of packets that could not be decoded, and of frames missing between others."""
    seconds_repaired: float = 0.0
    """By how much implausible timestamps were moved."""

    def facts(self, read_seconds: float) -> RecordingFacts:
        """The facts about a recording of which `read_seconds` were decoded."""
        claims = [container.claimed_seconds for container in self.containers]
        return RecordingFacts(
            size_bytes=self.size_bytes,
            read_seconds=read_seconds,
            claimed_seconds=sum(claim for claim in claims if claim) if claims and None not in claims else None,
            bytes_unread=self.bytes_unread if self.bytes_unread >= LEAST_BYTES_UNREAD else 0,
            damage=tuple(self._damage(read_seconds)),
            track=self.track,
            other_tracks=tuple(one.track for one in self.tracks if one.track != self.track),
        )

    def _damage(self, read_seconds: float) -> Iterator[Damage]:
        short = [each for each in self.containers if each.is_short]
        if short:
            claimed = sum((each.claimed_seconds or each.read_seconds) for each in self.containers)
            claimed = max(claimed, read_seconds)
            yield Damage(code="cut_off", message=f"only {read_seconds:.1f} s of {claimed:.1f} s could be read")
        elif missing := sum(each.missing_bytes for each in self.containers):
            yield Damage(code="cut_off", message=f"the file ends {size_words(missing)} before its own header says")
        elif any(each.is_cut for each in self.containers):
            yield Damage(
                code="cut_off",
                message=f"it ends in the middle of a packet after {read_seconds:.1f} s: what followed is missing",
            )
        for each in self.containers:
            if each.read_on and each.claimed_seconds is not None:
                yield Damage(
                    code="size_field_wrong",
                    message=f"its header claims {each.claimed_seconds:.1f} s, but {each.read_seconds:.1f} s of sound "
                    "were found and read",
                )
            elif each.read_on:
                yield Damage(code="size_field_wrong", message="there is sound behind the end that its header claims")
        if self.packets_lost >= LEAST_LOST_PACKETS or self.seconds_lost >= LEAST_LOST_SECONDS:
            yield Damage(
                code="unreadable_packets",
                message=f"{self.seconds_lost:.1f} s in the middle could not be decoded; silence is there instead",
            )
        if self.bytes_unread >= LEAST_BYTES_UNREAD:
            yield Damage(
                code="bytes_unread",
                message=f"{size_words(self.bytes_unread)} of {size_words(self.size_bytes)} could not be read",
            )
        if self.zero_bytes:
            yield Damage(
                code="padding_skipped", message=f"{size_words(self.zero_bytes)} of nothing but zeros were left out"
            )
        if self.seconds_repaired >= LEAST_REPAIR_SECONDS:
            yield Damage(
                code="timestamps_repaired",
                message=f"timestamps jump by {self.seconds_repaired:.1f} s and were not believed; what follows is "
                "timed as if they had not",
            )


def size_words(size: int) -> str:
    """A number of bytes, as `3.2 MB`."""
    unit, name = next((unit, name) for unit, name in BYTE_UNITS if size >= unit or unit == 1.0)
    return f"{size / unit:.1f} {name}" if unit > 1 else f"{size} {name}"
