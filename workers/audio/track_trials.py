"""Which track of a recording is taken in the end, and with which mix: what was decoded is heard, and tried again.

Runs in: worker.
"""

import math
from collections.abc import Callable
from pathlib import Path

import structlog

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingWish
from workers.audio.recording_account import Account
from workers.audio.tracks import tracks_to_try
from workers.engine import EngineRefusal
from workers.pcm.pcm_writer import PcmWriter

Read = Callable[[int | None, Account], RecordingFacts]
"""Writes a track, None being the best by its tags, and notes in the account what was found on the way."""

log = structlog.get_logger()


def take_track(name: Path, writer: PcmWriter, wish: DecodingWish, size_bytes: int, read: Read) -> RecordingFacts:
    """The first track with sound in it, or the first of all, decoded with a mix that keeps what is said.

    A track that cannot be decoded is passed over while there are others. Raises EngineRefusal as `read` did for the
    first track, where none could be decoded.
    """
    account = Account(size_bytes)
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
    # Silent or not decodable: the others, and if they are no better, that one after all.
    silent = choice[0].number if facts is not None else None
    for track in choice[1:]:
        writer.restart({})
        try:
            facts = read(track.number, Account(size_bytes))
        except EngineRefusal as refused:
            if refused.code != "damaged":
                raise
            refusal = refusal or refused
            continue
        if _has_sound(writer, track.number):
            return _well_mixed(writer, facts, read, size_bytes)
        silent = silent or track.number
    if silent is None:
        assert refusal is not None  # nothing was decoded, so something was refused
        raise refusal
    writer.restart({})
    return read(silent, Account(size_bytes))


def _has_sound(writer: PcmWriter, track: int) -> bool:
    if not writer.listener.has_sound:
        log.info("track_is_silent", track=track, loudest_db=round(writer.listener.loudest_db))
        return False
    return True


def _well_mixed(writer: PcmWriter, facts: RecordingFacts, read: Read, size_bytes: int) -> RecordingFacts:
    track = None if facts.track is None else facts.track.number
    if plans := writer.listener.plans():
        log.info("channels_mixed_otherwise", mixes=[plan.in_words for plan in plans.values()])
        writer.restart(plans)
        facts = read(track, Account(size_bytes))
    if (gain := writer.headroom.gain) != 1.0:
        log.info("recording_decoded_at_other_loudness", gain_db=gain_db(gain))
        writer.restart(plans, gain)
        facts = read(track, Account(size_bytes))
        facts = facts.model_copy(update={"gain_db": gain_db(gain)})
    return facts


def gain_db(gain: float) -> float:
    return round(20 * math.log10(gain), 1)
