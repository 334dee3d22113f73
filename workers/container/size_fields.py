"""The extent of a container of plain samples: its size field, checked against the bytes of the file.

Runs in: worker.

Recorders write sizes last. A recorder that lost power leaves an old size, one that passed 4 GiB a wrapped size, one
that wrote to a pipe none. If sound follows the claimed end, FFmpeg gets the header with a corrected size.
"""

import re
from dataclasses import dataclass

from workers.container.header_marks import FRAMES_HEAD, LONGEST_MARK, ContainerKind, frames_at, kind_at, tag_bytes
from workers.container.sample_headers import Samples
from workers.container.zero_runs import ReportAlive, end_of_data
from workers.recording.recording_file import Recording

WRAP = 1 << 32
LEAST_SOUND_SECONDS = 0.05
"""Less than this after the claimed end is not sound that a user would miss."""
TAIL_BYTES = 1 << 20
"""How far from the file's end chunks are searched for after samples of unknown size."""
LEAST_ZERO_SECONDS = 60.0
LEAST_ZERO_BYTES = 1 << 20
"""A tail of zeros of at least this length is preallocated disk, not sound."""
CHUNK_NAME = re.compile(rb"[A-Za-z0-9(_][A-Za-z0-9 _.)-]{3}")
KNOWN_CHUNKS = re.compile(
    rb"LIST|id3 |ID3 |bext|iXML|cue |smpl|_PMX|JUNK|junk|PAD |afsp|fact|PEAK|axml|chna|cart|DISP|acid|inst|plst|levl|"
    rb"umid|minf|elm1|regn|strc|LGWV|ResU|SAUR|Fake|FLLR|MARK|COMT|NAME|AUTH|ANNO|APPL|CHAN|INST|info|pakt|free|"
    rb"chan|kuki|strg|mark|uuid"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Which bytes of a recording belong to one container, and what FFmpeg gets to read of them."""

    kind: ContainerKind
    start: int
    """The first byte after `prefix`."""
    sound_end: int
    """The byte after the last that FFmpeg gets."""
    end: int
    """The byte after the container."""
    prefix: bytes = b""
    """What FFmpeg reads first, in place of the header in the file."""
    most_bytes: int | None = None
    """The largest size of sound that FFmpeg accepts; None: no limit."""
    endless: bool = False
    """True: one stream of frames that ends where another format begins."""
    scan_from: int | None = None
    """From here on, the header of another recording ends it; None: its own structure does."""
    claimed_end: int | None = None
    """The end that its size fields claim; None: they claim none."""
    claimed_seconds: float | None = None
    """The duration of the sound by its size field; None: unknown, or FFmpeg knows better."""
    sound_seconds: float | None = None
    """The duration of the sound by its bytes."""
    read_on: bool = False
    """True: sound follows the end that the size field claims."""
    zero_bytes: int = 0
    """Zeros after the sound that are skipped."""


def samples_extent(file: Recording, samples: Samples, alive: ReportAlive) -> Extent:
    """The extent of a container of plain samples."""
    least = max(int(LEAST_SOUND_SECONDS * samples.bytes_a_second), samples.block_bytes)
    if samples.claimed_bytes is None:
        return _extent(file, samples, None, _end_before_chunks(file, samples.begin, samples), file.size, alive)
    claimed_end = samples.begin + samples.claimed_bytes
    if claimed_end > file.size:
        return _extent(file, samples, claimed_end, file.size, file.size, alive)
    if (end := _end_behind(file, claimed_end, least, samples)) is not None:
        return _extent(file, samples, claimed_end, claimed_end, end, alive)
    for wrapped in range(claimed_end + WRAP, file.size + 1, WRAP):
        if (end := _end_behind(file, wrapped, least, samples)) is not None:
            return _extent(file, samples, claimed_end, wrapped, end, alive)
    data_end = end_of_data(file, claimed_end, file.size, alive)
    if data_end - claimed_end < least:
        return _extent(file, samples, claimed_end, claimed_end, file.size, alive)
    return _extent(file, samples, claimed_end, _end_before_chunks(file, claimed_end, samples), file.size, alive)


def _extent(
    file: Recording, samples: Samples, claimed_end: int | None, sound_end: int, end: int, alive: ReportAlive
) -> Extent:
    begin, rate, block = samples.begin, samples.bytes_a_second, samples.block_bytes
    zeros_from = begin + -(-(end_of_data(file, begin, sound_end, alive) - begin) // block) * block
    behind = end - sound_end if claimed_end == sound_end and _is_zeros(file, sound_end, end, alive) else 0
    zeros = sound_end - zeros_from
    if zeros < max(LEAST_ZERO_BYTES, LEAST_ZERO_SECONDS * rate):
        zeros = 0
    shown = sound_end - zeros - begin
    claimed = None if claimed_end is None else claimed_end - begin
    if zeros and claimed_end is not None and sound_end <= claimed_end:
        claimed = shown  # the rest of the claimed size is padding
    return Extent(
        kind=samples.kind,
        start=begin,
        sound_end=begin + shown,
        end=end,
        prefix=samples.header(shown if samples.most_bytes is None else min(shown, samples.most_bytes)),
        most_bytes=samples.most_bytes,
        scan_from=None if claimed_end is not None and sound_end <= claimed_end else claimed_end or begin,
        claimed_end=claimed_end,
        claimed_seconds=None if claimed is None or not samples.is_exact else claimed / rate,
        sound_seconds=shown / rate if samples.is_exact else None,
        read_on=claimed_end is not None and sound_end > claimed_end,
        zero_bytes=zeros + behind if zeros + behind >= LEAST_ZERO_BYTES else 0,
    )


def _is_zeros(file: Recording, start: int, end: int, alive: ReportAlive) -> bool:
    return end - start >= LEAST_ZERO_BYTES and end_of_data(file, start, end, alive) == start


def _end_behind(file: Recording, at: int, least: int, samples: Samples) -> int | None:
    """The end of the container whose samples end at `at`; None: these bytes cannot follow samples."""
    for behind in (at, at + 1):
        if file.size - behind < least:
            return file.size
        head = file.read_at(behind, FRAMES_HEAD)
        if kind_at(head[:LONGEST_MARK]) or frames_at(head) or tag_bytes(head[:64], file.size - behind):
            return behind
        if (end := _end_of_chunks(file, behind, samples)) is not None:
            return end
    return None


def _end_of_chunks(file: Recording, at: int, samples: Samples) -> int | None:
    """The end of the chunks that begin at `at`; None: no chunks begin there."""
    if samples.chunk_end is None:
        return None
    known = False
    while at < file.size:
        head = file.read_at(at, LONGEST_MARK)
        if known and (kind_at(head) or not head.strip(b"\0")):
            return at
        end = samples.chunk_end(head, at)
        if head.startswith(b"data"):
            return None  # more samples: they are read with those before them
        if not CHUNK_NAME.match(head) or end > file.size + 1:
            return at if known else None
        known = known or KNOWN_CHUNKS.match(head) is not None
        at = end
    return min(at, file.size)


def _end_before_chunks(file: Recording, start: int, samples: Samples) -> int:
    """The end of samples that reach to the end of the file, or to the chunks at its end."""
    if samples.chunk_end is None:
        return file.size
    first = max(start, file.size - TAIL_BYTES)
    for found in KNOWN_CHUNKS.finditer(file.read_at(first, file.size - first)):
        if _end_of_chunks(file, first + found.start(), samples) == file.size:
            return first + found.start()
    return file.size
