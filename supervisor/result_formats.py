"""A transcript as the text of a file: json, srt, vtt, txt, tsv, md. Pure.

Runs in: supervisor.

What was said in a recording is hostile until proven otherwise: it may hold markup, arrows, blank lines and control
characters. Each format gets it escaped by its own rules; json alone carries it as it is.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePath
from typing import Any, assert_never

import srt  # type: ignore[import-untyped]  # https://github.com/cdown/srt ships no types
import webvtt
import yaml

from ipc.api_messages import Format
from ipc.transcript import Segment, Transcript
from supervisor.subtitle_cues import Cue, Piece, cues_of

PARAGRAPH_PAUSE_SECONDS = 2.0
LONGEST_PARAGRAPH_SECONDS = 60.0

IN_ONE_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""C0 and C1 control characters: nobody says them, terminals obey them."""
SRT_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})
"""SRT has no escapes: players read <tags>, {\\an8} and arrows wherever they stand, so these become lookalikes."""
VTT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MARKDOWN_ACTIVE = re.compile(r"([\\`*_\[\]<>&~|$#@]|:(?=//)|(?<=\bwww)\.)")
"""Whatever can start markup, HTML, a link or a mention anywhere in a line."""
SPREADSHEET_FORMULA = ("=", "+", "-", "@")


def render(transcript: Transcript, format: Format, *, recording_name: str, highlight_words: bool) -> str:
    """The whole content of the file. `highlight_words` marks each spoken word in vtt, and means nothing elsewhere."""
    match format:
        case "json":
            return _json(transcript)
        case "srt":
            return _srt(transcript)
        case "vtt":
            return _vtt(transcript, highlight_words)
        case "txt":
            return "".join(f"{plain(segment.text)}\n" for segment in transcript.segments)
        case "tsv":
            return _tsv(transcript)
        case "md":
            return _markdown(transcript, recording_name)
        case _:
            assert_never(format)


def plain(text: str) -> str:
    """In one line, without control characters."""
    return INVISIBLE.sub("", " ".join(text.split()))


# --- json ------------------------------------------------------------------------------------------------------


def _json(transcript: Transcript) -> str:
    content = transcript.model_dump(mode="json")
    for segment in content["segments"]:
        if segment["repeats"] is None:
            del segment["repeats"]
        segment["words"] = [_word(word) for word in segment["words"]]
    content["word_segments"] = [_word(word) for word in content["word_segments"]]
    return _laid_out(_rounded(content), "") + "\n"


def _word(word: dict[str, Any]) -> dict[str, Any]:
    return word if word["interpolated"] else {key: word[key] for key in word if key != "interpolated"}


def _rounded(value: Any) -> Any:
    """Times to the millisecond, scores to match: floats as a person would write them. Order is kept by rounding."""
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
        case _:
            return value


def _laid_out(value: Any, indent: str) -> str:
    """JSON with one line for every word and other flat thing, so that a person can read it and `git diff` too."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(item, (dict, list)) for item in items):
        return IN_ONE_LINE.encode(value)
    deeper = indent + "  "
    if isinstance(value, dict):
        lines = [f"{deeper}{IN_ONE_LINE.encode(key)}: {_laid_out(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + _laid_out(item, deeper) for item in value) + f"\n{indent}]"


# --- subtitles -------------------------------------------------------------------------------------------------


def _milliseconds(cue: Cue) -> tuple[int, int]:
    """Start and end. No player shows, and some readers drop, a cue that does not last."""
    start = round(cue.start * 1000)
    return start, max(round(cue.end * 1000), start + 1)


def _cue_text(cue: Cue, shown: Callable[[Piece | str], str]) -> str:
    """The cue's lines; `shown` escapes one word, or the whole text where there are no words."""
    if not cue.lines:
        return shown(cue.text)
    lines = ("".join(" " * piece.spaced + shown(piece) for piece in line).strip() for line in cue.lines)
    # A blank line would end the cue.
    return "\n".join(line for line in lines if line)


def _srt(transcript: Transcript) -> str:
    def shown(piece: Piece | str) -> str:
        return plain(piece if isinstance(piece, str) else piece.text).translate(SRT_LOOKALIKES)

    subtitles = []
    for index, cue in enumerate(cues_of(transcript), start=1):
        start, end = (timedelta(milliseconds=at) for at in _milliseconds(cue))
        subtitles.append(srt.Subtitle(index=index, start=start, end=end, content=_cue_text(cue, shown)))
    return str(srt.compose(subtitles, reindex=False))


def _vtt(transcript: Transcript, highlight_words: bool) -> str:
    captions = []
    for cue in cues_of(transcript):
        states = _word_by_word(cue) if highlight_words and cue.lines else [(*_milliseconds(cue), None)]
        for start, end, spoken in states:

            def shown(piece: Piece | str, spoken: Piece | None = spoken) -> str:
                text = _vtt_escaped(piece if isinstance(piece, str) else piece.text)
                return f"<u>{text}</u>" if piece is spoken else text

            captions.append(webvtt.Caption(_timestamp(start), _timestamp(end), _cue_text(cue, shown)))
    return f"{webvtt.WebVTT(captions=captions).content}\n"


@lru_cache(maxsize=1024)  # with words highlighted, each stands in a dozen cues
def _vtt_escaped(text: str) -> str:
    return plain(text).translate(VTT_ESCAPES)


def _word_by_word(cue: Cue) -> Iterator[tuple[int, int, Piece | None]]:
    """The same cue over and over, milliseconds and the word spoken meanwhile; None in the gaps between words."""
    at, last = _milliseconds(cue)
    for piece in (piece for line in cue.lines for piece in line):
        start = max(at, round(piece.word.start * 1000))
        end = min(last, round(piece.word.end * 1000))
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


def _tsv(transcript: Transcript) -> str:
    """As OpenAI's whisper writes it: milliseconds, tabs, no quotes."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
    writer.writerow(("start", "end", "text"))
    for segment in transcript.segments:
        text = plain(segment.text)
        if text.startswith(SPREADSHEET_FORMULA):
            text = f"'{text}"
        writer.writerow((round(segment.start * 1000), round(segment.end * 1000), text))
    return table.getvalue()


def _markdown(transcript: Transcript, recording_name: str) -> str:
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
    matter = yaml.safe_dump(known, allow_unicode=True, sort_keys=False, width=10_000)
    paragraphs = [
        f"**{_clock(int(paragraph[0].start))}** {_unmarked(' '.join(plain(segment.text) for segment in paragraph))}\n"
        for paragraph in _paragraphs(transcript)
    ]
    body = paragraphs or ["*Nobody speaks in this recording.*\n"]
    return "\n".join([f"---\n{matter}---\n", f"# {_unmarked(title)}\n", *body])


def _unmarked(text: str) -> str:
    return MARKDOWN_ACTIVE.sub(r"\\\1", text)


def _paragraphs(transcript: Transcript) -> Iterator[list[Segment]]:
    """Segments that belong together: no long pause between them, and not too much at once."""
    paragraph: list[Segment] = []
    for segment in transcript.segments:
        if paragraph and (
            segment.start - paragraph[-1].end >= PARAGRAPH_PAUSE_SECONDS
            or segment.end - paragraph[0].start > LONGEST_PARAGRAPH_SECONDS
        ):
            yield paragraph
            paragraph = []
        paragraph.append(segment)
    if paragraph:
        yield paragraph
