"""The sound tracks of a recording, the order in which they are tried, and their languages.

Runs in: worker. Pure, except that it reads the container's list of streams.

Containers and jobs name a language in several ways: `de`, `deu`, `ger` and `de-AT` are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ipc.transcript import Track
from workers.engine import EngineRefusal

NOT_TOLD = frozenset({"", "und", "mul", "mis", "zxx", "unk", "qaa", "xxx"})
"""Codes without a language."""

# ISO 639-1 and its ISO 639-2 codes, terminological and bibliographic, for what transcribers know.
_CODES = """
af afr, am amh, ar ara, as asm, az aze, ba bak, be bel, bg bul, bn ben, bo bod tib, br bre, bs bos, ca cat,
cs ces cze, cy cym wel, da dan, de deu ger, el ell gre, en eng, es spa, et est, eu eus baq, fa fas per, fi fin,
fo fao, fr fra fre, gl glg, gu guj, ha hau, haw, he heb iw, hi hin, hr hrv scr, ht hat, hu hun, hy hye arm,
id ind in, is isl ice, it ita, ja jpn, jw jav jv, ka kat geo, kk kaz, km khm, kn kan, ko kor, la lat, lb ltz,
ln lin, lo lao, lt lit, lv lav, mg mlg, mi mri mao, mk mkd mac, ml mal, mn mon, mr mar, ms msa may, mt mlt,
my mya bur, ne nep, nl nld dut, no nor nob nb nno nn, oc oci, pa pan, pl pol, ps pus, pt por, ro ron rum mo mol,
ru rus, sa san, sd snd, si sin, sk slk slo, sl slv, sn sna, so som, sq sqi alb, sr srp scc, su sun, sv swe, sw swa,
ta tam, te tel, tg tgk, th tha, tk tuk, tl tgl fil, tr tur, tt tat, uk ukr, ur urd, uz uzb, vi vie, yi yid ji,
yo yor, yue, zh zho chi cmn
"""
_CANONICAL = {code: entry.split()[0] for entry in _CODES.split(",") for code in entry.split()}
MOST_TITLE_CHARACTERS = 200
MOST_TRACKS = 200
"""More tracks than this are made to harm: the rest is neither used nor reported."""
MOST_TRACKS_NAMED = 12


def language_of_tag(tag: str | None) -> str | None:
    """The tag of the container in lower case; None: it names no language."""
    told = (tag or "").strip().lower()
    is_code = told.isascii() and told.replace("-", "").replace("_", "").isalnum() and len(told) <= 35
    return told if is_code and _primary(told) not in NOT_TOLD else None


def is_same_language(tag: str | None, wanted: str) -> bool:
    """Whether a track with this tag is in the language that a job names."""
    return tag is not None and _canonical(tag) == _canonical(wanted)


def _canonical(code: str) -> str:
    primary = _primary(code.strip().lower())
    return _CANONICAL.get(primary, primary)


def _primary(code: str) -> str:
    """`zh-Hant-TW` → `zh`."""
    return code.replace("_", "-").partition("-")[0]


if TYPE_CHECKING:
    from av.container import InputContainer


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """A track, and what only the choice between tracks needs."""

    track: Track
    is_decodable: bool
    is_aside: bool = False
    """A commentary, a description for the blind, or effects without voices."""


def sound_tracks(container: "InputContainer") -> list[SoundTrack]:
    """All sound tracks, in the order of their numbers, decodable or not."""
    from av.stream import Disposition

    aside = Disposition.comment | Disposition.visual_impaired | Disposition.clean_effects | Disposition.karaoke
    found: list[SoundTrack] = []
    for number, stream in enumerate(container.streams.audio[:MOST_TRACKS], 1):
        codec = stream.codec_context
        title = stream.metadata.get("title", "")[:MOST_TITLE_CHARACTERS].strip()
        track = Track(
            number=number,
            language=language_of_tag(stream.metadata.get("language")),
            title=title or None,
            is_default=bool(stream.disposition & Disposition.default),
            # `mp3`, not the decoder that FFmpeg uses for it (`mp3float`).
            codec=None if codec is None else codec.codec.canonical_name,
            channels=None if codec is None else codec.channels,
            sample_rate=None if codec is None else codec.sample_rate,
        )
        found.append(SoundTrack(track, codec is not None, bool(stream.disposition & aside)))
    return found


def tracks_to_try(
    name: Path, tracks: Sequence[SoundTrack], wanted: int | None, language: str | None
) -> tuple[Track, ...]:
    """The requested track, or all that can be decoded: those in the job's language first, then in the order that
    players use.

    Raises EngineRefusal `no_audio`, `no_such_track`.
    """
    decodable = [one for one in tracks if one.is_decodable]
    if not decodable:
        raise EngineRefusal(
            "no_audio",
            f"{name} has no sound track that can be decoded",
            "check that it was recorded with sound",
        )
    if wanted is not None:
        for one in decodable:
            if one.track.number == wanted:
                return (one.track,)
        raise EngineRefusal(
            "no_such_track",
            f"{name} has no sound track {wanted} that can be decoded; there is {in_words(decodable)}",
            "choose one of them with `--track`, or leave it out to get the one with speech",
        )

    def rank(one: SoundTrack) -> tuple[bool, bool, bool, int]:
        is_other = language is not None and not is_same_language(one.track.language, language)
        return is_other, one.is_aside, not one.track.is_default, one.track.number

    return tuple(one.track for one in sorted(decodable, key=rank))


def in_words(tracks: Sequence[SoundTrack]) -> str:
    """`1 (deu, default, aac, 2 channels), 2 ("Commentary", eng, aac, 1 channel)`."""
    named = [_track_in_words(one.track) for one in tracks[:MOST_TRACKS_NAMED]]
    more = len(tracks) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _track_in_words(track: Track) -> str:
    facts = [
        None if track.title is None else f'"{track.title}"',
        track.language,
        "default" if track.is_default else None,
        track.codec,
        None if not track.channels else f"{track.channels} channel{'' if track.channels == 1 else 's'}",
    ]
    return f"{track.number} ({', '.join(filter(None, facts))})"
