"""Four hundred files that are not what they seem, and what each may come to.

Runs in: the chaos run. Each is made when it is wanted; all luck comes from the row's seed.
"""

import os
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import recordings

from chaos.daemon.oracle import make
from chaos.recordings.flac_bomb import silent_flac
from chaos.recordings.no_recordings import NO_FILES, Maker

DONE = frozenset({"done"})
OF_SOUND = frozenset({"done", "not_media", "no_audio", "damaged", "too_long", "empty_file"})
"""What may come of a recording that was cut, scratched or lied about."""
NO_MEDIA = frozenset({"not_media"})
TOO_LONG = frozenset({"too_long"})


@dataclass(frozen=True, slots=True)
class OddFile:
    """A name, what stands there, and the codes that are a right answer."""

    name: str
    make: Maker
    wanted: frozenset[str] = OF_SOUND
    """`done`, or codes of refusals."""
    texts_of: int | None = None
    """The number of its sound with the oracle, where its text has to be right."""


FORMATS: Mapping[str, str] = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "libmp3lame",
    "ogg": "libopus",
    "webm": "libopus",
    "m4a": "aac",
    "mp4": "aac",
}
TRUNCATIONS, FLIPS, HEADER_WORDS = 20, 120, 4
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER_BYTES = 64


@cache
def whole(suffix: str) -> bytes:
    """Three seconds of a tone, in this format."""
    path = Path(f"/tmp/steno-chaos-whole-{os.getpid()}.{suffix}")
    try:
        sound = recordings.tone(3.0, rate=48_000)
        return recordings.encoded(path, sound, FORMATS[suffix], rate=48_000, picture=suffix == "mp4").read_bytes()
    finally:
        path.unlink(missing_ok=True)


def odd_files() -> dict[str, list[OddFile]]:
    """By kind, so that a small share still has one of each."""
    return {
        "whole": [OddFile(f"whole.{suffix}", partial(_whole, suffix), DONE) for suffix in FORMATS],
        "cut off": [
            OddFile(f"cut{number}.{suffix}", partial(_cut_off, suffix))
            for suffix in FORMATS
            for number in range(TRUNCATIONS)
        ],
        "bits flipped": [
            OddFile(f"flip{number}.{suffix}", partial(_flipped, suffix))
            for number, suffix in zip(range(FLIPS), list(FORMATS) * FLIPS, strict=False)
        ],
        "lying header": [*_lying_wavs(), *_lying_headers()],
        "another's suffix": [
            OddFile(f"{inside}.as.{suffix}", partial(_whole, inside), DONE)
            for inside in FORMATS
            for suffix in ("wav", "mp3", "m4a", "flac")
            if inside != suffix
        ],
        "disguised playlist": list(_playlists()),
        "bomb": [
            OddFile("1h.flac", partial(_silence, 1, None), DONE),
            OddFile("1h-that-says-3s.flac", partial(_silence, 1, 3.0), DONE),
            OddFile("8s-that-say-100h.flac", partial(_silence, 0, 360_000.0), DONE),
            OddFile("100h.flac", partial(_silence, 100, None), TOO_LONG),
            OddFile("100h-that-say-3s.flac", partial(_silence, 100, 3.0), TOO_LONG),
        ],
        "odd name": [
            OddFile(name, partial(_oracle_wav, number), DONE, texts_of=number)
            for number, name in enumerate(ODD_NAMES)
        ],
        "name that is none": [OddFile(name, _nothing, codes) for name, codes in NO_NAMES],
        "no file": [OddFile(name, maker, frozenset({code})) for name, maker, code in NO_FILES],
    }


def _whole(suffix: str, path: Path, luck: random.Random) -> None:
    path.write_bytes(whole(suffix))


def _cut_off(suffix: str, path: Path, luck: random.Random) -> None:
    content = whole(suffix)
    path.write_bytes(content[: luck.randrange(1, len(content))])


def _flipped(suffix: str, path: Path, luck: random.Random) -> None:
    content = bytearray(whole(suffix))
    # Half of them where it hurts most.
    reach = luck.choice((HEADER_BYTES * 4, len(content)))
    for _ in range(luck.choice((1, 8, 64))):
        content[luck.randrange(min(reach, len(content)))] ^= 1 << luck.randrange(8)
    path.write_bytes(content)


# --- headers that lie ------------------------------------------------------------------------------------------

WAV_FIELDS: Mapping[str, tuple[int, str, tuple[int, ...]]] = {
    "riff": (4, "<I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)),
    "form": (16, "<I", (0, 15, 0x7FFFFFFF)),
    "codec": (20, "<H", (0, 2, 0x55, 0xFFFE)),
    "channels": (22, "<H", (0, 2, 65, 0xFFFF)),
    "rate": (24, "<I", (0, 1, 6_000_001, 0xFFFFFFFF)),
    "align": (32, "<H", (0, 1, 0xFFFF)),
    "bits": (34, "<H", (0, 7, 64, 0xFFFF)),
    "data": (40, "<I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)),
}
"""Where the plainest of WAV headers has them."""


def _lying_wavs() -> Iterator[OddFile]:
    for field, (at, form, claims) in WAV_FIELDS.items():
        for claim in claims:
            yield OddFile(f"{field}{claim}.wav", partial(_lying_wav, at, struct.pack(form, claim)))


def _lying_wav(at: int, claim: bytes, path: Path, luck: random.Random) -> None:
    content = bytearray(recordings.wav(path, recordings.tone(3.0)).read_bytes())
    content[at : at + len(claim)] = claim
    path.write_bytes(content)


def _lying_headers() -> Iterator[OddFile]:
    for suffix in FORMATS:
        for number in range(HEADER_WORDS):
            yield OddFile(f"claims{number}.{suffix}", partial(_lying_header, suffix))


def _lying_header(suffix: str, path: Path, luck: random.Random) -> None:
    content = bytearray(whole(suffix))
    at = luck.randrange(4, HEADER_BYTES, 2)
    content[at : at + 4] = luck.choice(EXTREMES).to_bytes(4, luck.choice(("big", "little")))
    path.write_bytes(content)


# --- playlists -------------------------------------------------------------------------------------------------

PLAYLISTS: Mapping[str, str] = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="0" mimeType="audio/mp4"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    "a=control:{target}\n",
}
LURE = "lure.wav"
"""What playlists name stands in the folder above theirs; nobody may open it."""


def _playlists() -> Iterator[OddFile]:
    for kind, form in PLAYLISTS.items():
        for scheme, suffix in (("file:", "mp3"), ("http", "wav"), ("tcp", "m4a")):
            yield OddFile(f"{kind}-{scheme.strip(':')}.{suffix}", partial(_playlist, form, scheme), NO_MEDIA)


def _playlist(form: str, scheme: str, path: Path, luck: random.Random) -> None:
    lure = path.parent.parent / LURE
    # Nobody listens at port 9; that somebody tried to connect is what strace would write down.
    target = str(lure) if scheme == "file:" else f"{scheme}://127.0.0.1:9/x.ts"
    path.write_text(form.format(target=target))


# --- bombs -----------------------------------------------------------------------------------------------------


def _silence(hours: float, claimed_seconds: float | None, path: Path, luck: random.Random) -> None:
    path.write_bytes(silent_flac(hours, claimed_seconds))


# --- names -----------------------------------------------------------------------------------------------------

ODD_NAMES = (
    *("new\nline.wav", "\ttab.wav", "\x1b[31mred.wav", "\x7f.wav", "-rf.wav", "--help.wav", "-.wav"),
    *("%s%n.wav", "%00.wav", "%2e%2e.wav", "e\u0301.wav", "é.wav", "ﬁ.wav", "\u202evaw.wav", "𝄞.wav"),
    *("a" * 251 + ".wav", "é" * 125 + ".wav", "w" * 255, ".wav.wav", " .wav", "wav", "a.", "con.wav"),
    *(
        "'\"$(id)`.wav",
        "a;b|c&d.wav",
        "http:x.wav",
        "pipe:0.wav",
        "concat:a|b.wav",
        "{stem}.wav",
        "a\\b.wav",
        "*?.wav",
    ),
)
NO_NAMES = (
    # What cannot cross the socket as UTF-8 is refused there; what cannot be a file's name, one step further.
    ("\udcff.wav", frozenset({"bad_request", "bad_name"})),
    ("nul\0.wav", frozenset({"bad_request", "bad_name"})),
    ("a" * 256, frozenset({"bad_name"})),
    ("../" * 1000 + "x.wav", frozenset({"not_found", "bad_name"})),
    ("gone.wav", frozenset({"not_found"})),
    ("whole.wav/inside.wav", frozenset({"not_found"})),
)


def _oracle_wav(number: int, path: Path, luck: random.Random) -> None:
    make(path, number, chunks=1)


def _nothing(path: Path, luck: random.Random) -> None:
    """It is only asked for."""
