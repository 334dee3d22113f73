"""A transcript as the content of a file: json, srt, vtt, txt, tsv, md. Pure.

Runs in: supervisor.

Each format is a generator with one segment or paragraph in memory at a time: a day of speech renders in the memory of
a minute. What comes before the segments in a file, above all in json, needs one more pass over them.

The text of a recording is untrusted: it may contain markup, arrows, blank lines and control characters. Each format
escapes it by its own rules; only json contains it unchanged.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePath
from typing import assert_never

import srt  # type: ignore[import-untyped]  # https://github.com/cdown/srt ships no types
import webvtt
import yaml

from ipc.transcript import Segment
from ipc.vocabulary import Format
from supervisor.results.cue_pieces import Piece
from supervisor.results.cues import Cue, cues_of
from supervisor.results.json_format import json_pieces
from supervisor.results.plain_text import plain
from supervisor.results.transcript import JobTranscript

PARAGRAPH_PAUSE_SECONDS = 2.0
LONGEST_PARAGRAPH_SECONDS = 60.0
BLOCK_CHARACTERS = 32 * 1024

SRT_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})
"""SRT has no escapes: players interpret <tags>, {\\an8} and arrows anywhere, so these become lookalikes."""
VTT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MARKDOWN_ACTIVE = re.compile(r"([\\`*_\[\]<>&~|$#@]|:(?=//)|(?<=\bwww)\.)")
"""Characters that can start markup, HTML, a link or a mention anywhere in a line."""
SPREADSHEET_FORMULA = ("=", "+", "-", "@")


def render(
    transcript: JobTranscript, format: Format, *, recording_name: str, highlight_words: bool
) -> Iterator[bytes]:
    """The content of the file, in blocks. `highlight_words` marks each spoken word in vtt; no effect in other
    formats."""
    return _in_blocks(_pieces(transcript, format, recording_name, highlight_words))


def _pieces(transcript: JobTranscript, format: Format, recording_name: str, highlight_words: bool) -> Iterator[str]:
    match format:
        case "json":
            return json_pieces(transcript)
        case "srt":
            return _srt(transcript)
        case "vtt":
            return _vtt(transcript, highlight_words)
        case "txt":
            return (f"{plain(segment.text)}\n" for segment in transcript.segments())
        case "tsv":
            return _tsv(transcript)
        case "md":
            return _markdown(transcript, recording_name)
        case _:
            assert_never(format)


def _in_blocks(pieces: Iterable[str]) -> Iterator[bytes]:
    """UTF-8, in blocks large enough for a system call."""
    block: list[str] = []
    characters = 0
    for piece in pieces:
        block.append(piece)
        characters += len(piece)
        if characters >= BLOCK_CHARACTERS:
            yield "".join(block).encode()
            block, characters = [], 0
    if block:
        yield "".join(block).encode()


# --- subtitles -------------------------------------------------------------------------------------------------


def _cue_text(cue: Cue, shown: Callable[[Piece], str]) -> str:
    """The cue's lines; `shown` escapes one piece."""
    lines = ("".join(" " * piece.spaced + shown(piece) for piece in line).strip() for line in cue.lines)
    # A blank line would end the cue.
    return "\n".join(line for line in lines if line)


def _srt(transcript: JobTranscript) -> Iterator[str]:
    def shown(piece: Piece) -> str:
        return piece.text.translate(SRT_LOOKALIKES)

    for index, cue in enumerate(cues_of(transcript.segments(), transcript.duration), start=1):
        start, end = (timedelta(milliseconds=at) for at in (cue.start_ms, cue.end_ms))
        yield srt.Subtitle(index=index, start=start, end=end, content=_cue_text(cue, shown)).to_srt()


def _vtt(transcript: JobTranscript, highlight_words: bool) -> Iterator[str]:
    head = webvtt.WebVTT().content
    yield head
    for cue in cues_of(transcript.segments(), transcript.duration):
        captions = []
        marks = highlight_words and cue.has_word_times
        states = _word_by_word(cue) if marks else [(cue.start_ms, cue.end_ms, None)]
        for start, end, spoken in states:

            def shown(piece: Piece, spoken: Piece | None = spoken) -> str:
                text = _vtt_escaped(piece.text)
                return f"<u>{text}</u>" if piece is spoken else text

            captions.append(webvtt.Caption(_timestamp(start), _timestamp(end), _cue_text(cue, shown)))
        yield webvtt.WebVTT(captions=captions).content.removeprefix(head)
    yield "\n"


@lru_cache(maxsize=1024)  # with highlighted words, each is in a dozen cues
def _vtt_escaped(text: str) -> str:
    return text.translate(VTT_ESCAPES)


def _word_by_word(cue: Cue) -> Iterator[tuple[int, int, Piece | None]]:
    """The same cue repeatedly: milliseconds and the word spoken meanwhile; None in the gaps between words."""
    at, last = cue.start_ms, cue.end_ms
    for piece in (piece for line in cue.lines for piece in line):
        start = max(at, round(piece.start * 1000))
        end = min(last, round(piece.end * 1000))
        if end <= start:
            continue
        if start > at:
            yield at, start, None
        yield start, end, piece
        at = end
    if at < last:
        yield at, last, None


def _timestamp(milliseconds: int) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    return f"{_clock(seconds)}.{fraction:03}"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


# --- tables and prose ------------------------------------------------------------------------------------------


def _tsv(transcript: JobTranscript) -> Iterator[str]:
    """As OpenAI's whisper: milliseconds, tabs, no quotes; plain text contains nothing that needs them."""
    yield "start\tend\ttext\n"
    for segment in transcript.segments():
        text = plain(segment.text)
        quote = "'" if text.startswith(SPREADSHEET_FORMULA) else ""
        yield f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{quote}{text}\n"


class _FrontMatter(yaml.SafeDumper):
    """YAML whose strings round-trip, also those with line ends that YAML folds to a space."""


def _quoted(dumper: _FrontMatter, text: str) -> yaml.Node:
    style = '"' if re.search("[\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_FrontMatter.add_representer(str, _quoted)


def _markdown(transcript: JobTranscript, recording_name: str) -> Iterator[str]:
    title = plain(PurePath(recording_name).stem)
    engines = transcript.engine
    facts: Mapping[str, object] = {
        "title": title,
        "source": recording_name,
        "language": transcript.language,
        "duration": _clock(round(transcript.duration)),
        "timing": transcript.timing,
        "transcriber": engines.transcriber.model_dump() if engines.transcriber else None,
        "aligner": engines.aligner.model_dump() if engines.aligner else None,
    }
    known = {name: fact for name, fact in facts.items() if fact is not None}
    matter = yaml.dump(known, Dumper=_FrontMatter, allow_unicode=True, sort_keys=False, width=10_000)
    yield f"---\n{matter}---\n\n# {_unmarked(title)}\n"
    for paragraph in _paragraphs(transcript.segments()):
        text = _unmarked(" ".join(plain(segment.text) for segment in paragraph))
        yield f"\n**{_clock(int(paragraph[0].start))}** {text}\n"
    if transcript.no_speech:
        yield "\n*Nobody speaks in this recording.*\n"


def _unmarked(text: str) -> str:
    return MARKDOWN_ACTIVE.sub(r"\\\1", text)


def _paragraphs(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Groups segments into paragraphs: no long pause between them, and limited length."""
    paragraph: list[Segment] = []
    for segment in segments:
        if paragraph and (
            segment.start - paragraph[-1].end >= PARAGRAPH_PAUSE_SECONDS
            or segment.end - paragraph[0].start > LONGEST_PARAGRAPH_SECONDS
        ):
            yield paragraph
            paragraph = []
        paragraph.append(segment)
    if paragraph:
        yield paragraph
