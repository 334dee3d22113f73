"""An untrusted file → 16 kHz mono s16 PCM on disk, in bounded memory, with PyAV and no ffmpeg program.

Runs in: worker. A recording may be hostile, cut off or damaged; its cost is bounded.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import ContainerDecoder, DecodingOptions
from workers.audio.recording_account import RecordingAccount
from workers.audio.track_trials import take_track
from workers.container.recording_extents import GARBAGE_BYTES, extent_at, next_header, next_start
from workers.container.size_fields import LEAST_ZERO_BYTES
from workers.engine import EngineRefusal
from workers.out_of_memory import is_out_of_memory
from workers.pcm.pcm_writer import PcmWriter
from workers.recording.recording_file import Recording, refuse_unreadable

ABOUT_A_PART = frozenset({"not_media", "no_audio", "damaged", "encrypted"})
"""Refusals of one container that say nothing about the containers after it."""

log = structlog.get_logger()


def decode_recording(
    name: Path, file: Recording, writer: PcmWriter, wish: DecodingOptions, step: Callable[[float], None]
) -> RecordingFacts:
    """Writes the sound of an open recording, called `name` in refusals; returns the facts about it.

    The times in the PCM are those a player shows: a late sound track and its gaps become silence. Damaged parts are
    skipped; a cut-off recording ends early. `step` gets the seconds done, often; what it raises ends the decoding.
    Raises EngineRefusal: `not_readable`, `not_media`, `no_audio`, `no_such_track`, `too_long`, `damaged`,
    `encrypted`, `disk_full`, `spool_failed`.

    If a track is silent, the next one is tried. If the usual mix loses a channel of a track, it is decoded again with
    its own mix. The facts report the outcome.
    """

    def read(track: int | None, account: RecordingAccount) -> RecordingFacts:
        return _read(name, file, writer, replace(wish, track=track), step, account)

    return take_track(name, writer, wish, file.size, read)


def _read(
    name: Path,
    file: Recording,
    writer: PcmWriter,
    wish: DecodingOptions,
    step: Callable[[float], None],
    account: RecordingAccount,
) -> RecordingFacts:
    """Decodes one track of the recording from its beginning to its end."""
    decoder = ContainerDecoder(name, file, writer, wish, step, account)
    first_refusal: EngineRefusal | None = None
    at = decoder.first_start()
    while at < file.size:
        try:
            behind = decoder.read(extent_at(file, at, decoder.alive))
        except EngineRefusal as refusal:
            if refusal.code not in ABOUT_A_PART or is_out_of_memory(refusal):
                raise
            first_refusal = first_refusal or refusal
            behind = next_header(file, at + 1, decoder.alive, None if writer.seconds else GARBAGE_BYTES)
            account.bytes_unread += behind - at
        except OSError as error:
            refuse_unreadable(name, error)
        behind = max(behind, at + 1)
        at = next_start(file, behind, decoder.alive)
        if at - behind >= LEAST_ZERO_BYTES:
            account.zero_bytes += at - behind
    if writer.seconds == 0:
        raise first_refusal or EngineRefusal(
            "damaged",
            f"no sound could be decoded from {name}",
            "play it in another program; if that works, export it from there as WAV or FLAC",
        )
    writer.flush()
    facts = account.facts(writer.decoded_seconds).model_copy(update={"channels_used": writer.channels_used})
    note = log.warning if facts.damage else log.info
    note(
        "recording_decoded",
        seconds=round(writer.seconds, 3),
        track=None if facts.track is None else facts.track.number,
        channels=facts.channels_used,
        containers=len(account.containers),
        packets_skipped=account.packets_lost,
        silence_inserted_seconds=round(writer.silence_seconds, 3),
        damage=[damage.code for damage in facts.damage],
    )
    return facts
