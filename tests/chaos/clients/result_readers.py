"""Small readers of the result formats, written from their specifications and not from stenod.

Runs in: the chaos run.
"""

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser

VTT_TIMING = re.compile(
    r"^((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})[ \t]+-->[ \t]+((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})(?:[ \t].*)?$"
)
SRT_TIMING = re.compile(r"^(\d+:\d{2}:\d{2}[,.]\d{1,3})\s*-->\s*(\d+:\d{2}:\d{2}[,.]\d{1,3})")


@dataclass(frozen=True, slots=True)
class ReadCue:
    """What a player would show, and when."""

    start: float
    end: float
    text: str
    """As it stands in the file."""


class LiveTags(HTMLParser):
    """What a browser would take for markup; `text` is what it would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("!--", []))

    def handle_decl(self, decl: str) -> None:
        self.tags.append(("!", []))

    def unknown_decl(self, data: str) -> None:
        self.tags.append(("![", []))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("?", []))

    def handle_data(self, data: str) -> None:
        self.text += data


def live_tags(text: str) -> LiveTags:
    reader = LiveTags()
    reader.feed(text)
    reader.close()
    return reader


def vtt_cues(content: str) -> list[ReadCue]:
    """WebVTT's parser (https://www.w3.org/TR/webvtt1/#file-parsing): blocks end at blank lines, and at an arrow."""
    lines = content.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert re.match(r"^\ufeff?WEBVTT(?:[ \t]|$)", lines[0]), lines[0]
    cues: list[ReadCue] = []
    at = 1
    while at < len(lines):
        timing = VTT_TIMING.match(lines[at])
        at += 1
        if timing is None:
            continue
        payload = []
        while at < len(lines) and lines[at] and "-->" not in lines[at]:
            payload.append(lines[at])
            at += 1
        cues.append(ReadCue(_seconds(timing[1]), _seconds(timing[2]), "\n".join(payload)))
    return cues


def srt_cues(content: str) -> list[ReadCue]:
    """As players read SubRip, which has no specification: a timing line begins a cue, a blank line ends it."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    cues: list[ReadCue] = []
    at = 0
    while at < len(lines):
        timing = SRT_TIMING.match(lines[at].strip())
        at += 1
        if timing is None:
            continue
        payload = []
        while at < len(lines) and lines[at].strip() and not SRT_TIMING.match(lines[at].strip()):
            payload.append(lines[at])
            at += 1
        cues.append(ReadCue(_seconds(timing[1]), _seconds(timing[2]), "\n".join(payload)))
    return cues


def vtt_text(cue: ReadCue) -> str:
    """WebVTT's own tags are taken out, its escapes resolved."""
    return html.unescape(re.sub(r"<[^>]*>?", "", cue.text))


def _seconds(clock: str) -> float:
    seconds = 0.0
    for part in clock.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
