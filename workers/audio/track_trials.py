"""The choice of a recording's track and mix: a decoded track is checked, and another one is tried if needed.

Runs in: worker.
"""

import math
from collections.abc import Callable
from pathlib import Path

import structlog

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.audio.recording_account import RecordingAccount
from workers.audio.tracks import tracks_to_try
from workers.engine import EngineRefusal
from workers.pcm.pcm_writer import PcmWriter

ReadTrack = Callable[[int | None, RecordingAccount], RecordingFacts]
"""Decodes a track (None: the best by its tags) and notes in the account what it found."""

log = structlog.get_logger()


def take_track(
    name: Path, writer: PcmWriter, wish: DecodingOptions, size_bytes: int, read: ReadTrack
) -> RecordingFacts:
    """Decodes the first track with sound in it, or the first of all, with a mix that keeps the speech.

    A track that cannot be decoded is skipped if there are others. If none can be decoded, raises the EngineRefusal of
    the first track.
    """
    account = RecordingAccount(size_bytes)
    refusal: EngineRefusal | None = None
    facts: RecordingFacts | None = None
    try:
        facts = read(wish.track, account)
    except EngineRefusal as refused:
        if refused.code != "damaged" or wish.track is not None or account.track is None:
            raise
        refusal = refused
    choice = tracks_to_try(name, account.tracks, wish.track, wish.language)
    if facts is not None and (len(choice) == 1 or _has_sound(writer, choice[0].number)):
        return _well_mixed(writer, facts, read, size_bytes)
    # Silent or not decodable: try the others, and fall back to this one if they are no better.
    silent = choice[0].number if facts is not None else None
    for track in choice[1:]:
        writer.restart({})
        try:
            facts = read(track.number, RecordingAccount(size_bytes))
        except EngineRefusal as refused:
            if refused.code != "damaged":
                raise
            refusal = refusal or refused
            continue
        if _has_sound(writer, track.number):
            return _well_mixed(writer, facts, read, size_bytes)
        silent = silent or track.number
    if silent is None:
        assert refusal is not None  # nothing was decoded, so at least one track was refused
        raise refusal
    writer.restart({})
    return read(silent, RecordingAccount(size_bytes))


def _has_sound(writer: PcmWriter, track: int) -> bool:
    if not writer.listener.has_sound:
        log.info("track_is_silent", track=track, loudest_db=round(writer.listener.loudest_db))
        return False
    return True


def _well_mixed(writer: PcmWriter, facts: RecordingFacts, read: ReadTrack, size_bytes: int) -> RecordingFacts:
    track = None if facts.track is None else facts.track.number
    if plans := writer.listener.plans():
        log.info("channels_mixed_otherwise", mixes=[plan.in_words for plan in plans.values()])
        writer.restart(plans)
        facts = read(track, RecordingAccount(size_bytes))
    if (gain := writer.headroom.gain) != 1.0:
        log.info("recording_decoded_at_other_loudness", gain_db=gain_db(gain))
        writer.restart(plans, gain)
        facts = read(track, RecordingAccount(size_bytes))
        facts = facts.model_copy(update={"gain_db": gain_db(gain)})
    return facts


def gain_db(gain: float) -> float:
    return round(20 * math.log10(gain), 1)
