"""Every format, read back by somebody else's parser, with hostile text in it.

Runs in: the test process.
"""

import csv
import io
import json
import re
from pathlib import PurePath
from typing import Any, get_args

import pytest
import srt  # type: ignore[import-untyped]
import webvtt
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.transcript import EnginesUsed, EngineUsed, Segment, Transcript, Word
from ipc.vocabulary import Format
from supervisor.results.cue_pieces import LINE_COLUMNS
from supervisor.results.cues import LONGEST_CUE_SECONDS
from supervisor.results.formats import render
from supervisor.results.plain_text import plain
from supervisor.results.transcript import JobTranscript

HOSTILE = [
    "<script>alert(1)</script>",
    "-->",
    "00:00:01.000 --> 00:00:02.000",
    "00:00:01,000 --> 00:00:02,000",
    "\n\n",
    "\r\n",
    "\u2028",
    "\x85",
    "\x00",
    "\x1b[31m",
    "NOTE",
    "STYLE",
    "WEBVTT",
    "1",
    "{\\an8}",
    "{Y:i}",
    "&amp;",
    "<00:00:01.000>",
    "<c.red>",
    "---",
    "*bold*",
    "[x](javascript:x)",
    "https://evil.example",
    "\t",
    '"',
    "=1+1",
    "@SUM(A1)",
    "-",
    "\ufeff",
    "‮",
    "你好",
    "naïve",
]
TEXT = st.lists(st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=12), min_size=1, max_size=8).map(" ".join)


@st.composite
def transcripts(draw: st.DrawFn) -> JobTranscript:
    segments: list[Segment] = []
    at = 0.0
    for text in draw(st.lists(TEXT.map(str.strip).filter(bool), max_size=5)):
        start = at + draw(st.floats(0, 4000))
        end = start + draw(st.floats(0, 30))
        words: list[Word] = []
        if draw(st.booleans()):
            spoken = text.split()
            edges = sorted(draw(st.lists(st.floats(start, end), min_size=2 * len(spoken), max_size=2 * len(spoken))))
            words = [
                Word(word=word, start=edges[2 * n], end=edges[2 * n + 1], interpolated=n % 2 == 0)
                for n, word in enumerate(spoken)
            ]
        timing = "word" if words else "segment"
        segments.append(Segment(id=len(segments), start=start, end=end, text=text, timing=timing, words=tuple(words)))
        at = end
    return transcript_of(*segments)


def transcript_of(*segments: Segment) -> JobTranscript:
    return JobTranscript(
        segments,
        language="en",
        language_probability=None,
        duration=4321.5,
        timing="mixed",
        no_speech=not segments,
        engine=EnginesUsed(transcriber=EngineUsed(engine="mlx", model="tiny.en", device="cpu")),
    )


def spoken_at(*words: tuple[str, float, float], text: str = "") -> Segment:
    timed = tuple(Word(word=word, start=start, end=end, score=0.5) for word, start, end in words)
    text = text or " ".join(word.word for word in timed)
    return Segment(id=0, start=timed[0].start, end=timed[-1].end, text=text, timing="word", words=timed)


def shown(
    transcript: JobTranscript, format: Format, highlight_words: bool = False, recording_name: str = "talk.mp3"
) -> str:
    blocks = render(transcript, format, recording_name=recording_name, highlight_words=highlight_words)
    return b"".join(blocks).decode()


def letters(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum())


@settings(max_examples=40)
@given(transcripts())
def test_json_holds_everything_as_it_was_said(transcript: JobTranscript) -> None:
    text = shown(transcript, "json")
    content = json.loads(text)
    read = Transcript.model_validate(content)
    assert read.text == "".join(transcript.text())
    assert [segment.text for segment in read.segments] == [segment.text for segment in transcript.segments()]
    assert [word.word for word in read.word_segments] == [word.word for word in transcript.words()]
    assert read.word_segments == tuple(word for segment in read.segments for word in segment.words)
    for segment in content["segments"]:
        times = [segment["start"], *(t for word in segment["words"] for t in (word["start"], word["end"]))]
        assert [*times, segment["end"]] == sorted([*times, segment["end"]])
    text.encode()


def test_json_has_the_promised_names_and_only_says_interpolated_where_it_is() -> None:
    segment = spoken_at(("so", 0.10000001, 0.5), ("what", 0.5, 0.9))
    guessed = segment.words[1].model_copy(update={"interpolated": True})
    segment = segment.model_copy(update={"words": (segment.words[0], guessed), "repeats": 4})
    content = json.loads(shown(transcript_of(segment, Segment(id=1, start=1, end=2, text="bye")), "json"))
    assert list(content) == [
        "schema_version",
        "text",
        "language",
        "language_probability",
        "duration",
        "timing",
        "no_speech",
        "segments",
        "unheard",
        "word_segments",
        "engine",
    ]
    assert content["segments"][0]["words"] == [
        {"word": "so", "start": 0.1, "end": 0.5, "score": 0.5},
        {"word": "what", "start": 0.5, "end": 0.9, "score": 0.5, "interpolated": True},
    ]
    assert content["segments"][0]["repeats"] == 4
    assert "repeats" not in content["segments"][1]
    assert not {"timing_doubtful", "voice_seconds"} & content["segments"][0].keys()
    doubtful = segment.model_copy(update={"timing_doubtful": True, "voice_seconds": 0.5})
    (shown_segment,) = json.loads(shown(transcript_of(doubtful), "json"))["segments"]
    assert shown_segment["timing_doubtful"] is True and "voice_seconds" not in shown_segment
    assert content["engine"] == {
        "transcriber": {"engine": "mlx", "model": "tiny.en", "device": "cpu"},
        "aligner": None,
    }


@settings(max_examples=40)
@given(transcripts())
def test_srt_reads_back_with_every_letter_and_no_markup(transcript: JobTranscript) -> None:
    cues = list(srt.parse(shown(transcript, "srt")))
    assert letters("".join(cue.content for cue in cues)) == letters(
        "".join(plain(s.text) for s in transcript.segments())
    )
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert all(cue.start < cue.end for cue in cues)
    assert not any(re.search(r"[<>{}]", cue.content) for cue in cues)


@settings(max_examples=40)
@given(transcripts(), st.booleans())
def test_vtt_reads_back_without_a_live_tag(transcript: JobTranscript, highlight_words: bool) -> None:
    text = shown(transcript, "vtt", highlight_words)
    read = webvtt.WebVTT.from_string(text, strict=True)
    assert text.startswith("WEBVTT\n")
    assert not read.styles and not read.header_comments and not read.regions
    tags = {tag for cue in read.captions for tag in re.findall(r"<[^>]*>", cue.raw_text)}
    assert tags <= ({"<u>", "</u>"} if highlight_words else set())
    assert all(cue.start_time.to_tuple() < cue.end_time.to_tuple() for cue in read.captions)
    if not highlight_words:
        heard = "".join(cue.raw_text for cue in read.captions)
        for escaped, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            heard = heard.replace(escaped, sign)
        assert letters(heard) == letters("".join(plain(segment.text) for segment in transcript.segments()))


@settings(max_examples=40)
@given(transcripts())
def test_txt_and_tsv_have_a_line_for_each_segment(transcript: JobTranscript) -> None:
    texts = [plain(segment.text) for segment in transcript.segments()]
    assert shown(transcript, "txt").splitlines() == texts
    header, *rows = csv.reader(io.StringIO(shown(transcript, "tsv")), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["start", "end", "text"]
    assert [row[2].removeprefix("'") for row in rows] == [text.removeprefix("'") for text in texts]
    assert not any(row[2].startswith(("=", "+", "-", "@")) for row in rows)
    assert [int(row[0]) for row in rows] == [round(segment.start * 1000) for segment in transcript.segments()]


@settings(max_examples=40)
@given(transcripts(), TEXT)
def test_markdown_front_matter_is_yaml_and_the_rest_is_text(transcript: JobTranscript, name: str) -> None:
    text = shown(transcript, "md", recording_name=f"{name}.mp3")
    _, matter, body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    facts = yaml.safe_load(matter)
    assert facts["source"] == f"{name}.mp3"
    assert (facts["language"], facts["timing"], facts["duration"]) == ("en", transcript.timing, "01:12:02")
    assert not re.search(r"(?<!\\)(\\\\)*[<>`_\[\]&]", body)
    assert not re.search(r"https?://", body)
    if not transcript.no_speech:
        texts = [PurePath(f"{name}.mp3").stem, *(segment.text for segment in transcript.segments())]
        untimed = re.sub(r"^\*\*[\d:]+\*\* ", "", body, flags=re.MULTILINE)
        assert letters(untimed) == letters("".join(plain(text) for text in texts))


@pytest.mark.parametrize("format", get_args(Format))
def test_silence_is_a_valid_file_in_every_format(format: Format) -> None:
    text = shown(transcript_of(), format)
    match format:
        case "json":
            assert json.loads(text)["no_speech"] is True
        case "srt" | "txt":
            assert text == ""
        case "vtt":
            assert len(webvtt.WebVTT.from_string(text, strict=True)) == 0
        case "tsv":
            assert text == "start\tend\ttext\n"
        case _:
            assert "Nobody speaks" in text


@settings(max_examples=50)
@given(st.lists(st.text("abcdefghij,.", min_size=1, max_size=15), min_size=1, max_size=80), st.floats(0.05, 1.5))
def test_cues_are_two_short_lines_for_a_few_seconds_and_lose_no_word(words: list[str], pace_seconds: float) -> None:
    segment = spoken_at(*((word, n * pace_seconds, (n + 0.9) * pace_seconds) for n, word in enumerate(words)))
    cues = list(srt.parse(shown(transcript_of(segment), "srt")))
    assert " ".join(cue.content.replace("\n", " ") for cue in cues).split() == words
    for cue in cues:
        assert len(cue.content.splitlines()) <= 2
        assert all(len(line) <= LINE_COLUMNS for line in cue.content.splitlines())
        assert (cue.end - cue.start).total_seconds() <= LONGEST_CUE_SECONDS + 0.002


def test_scripts_without_spaces_get_none_and_half_as_many_signs_a_line() -> None:
    text = "今日は天気がとてもいいので散歩に行きましょうと彼は言いました"
    segment = spoken_at(*((sign, n / 10, n / 10 + 0.1) for n, sign in enumerate(text)), text=text)
    (cue,) = srt.parse(shown(transcript_of(segment), "srt"))
    assert cue.content.replace("\n", "") == text
    assert [len(line) <= 21 for line in cue.content.splitlines()] == [True, True]


def test_highlighting_moves_from_word_to_word_and_rests_in_the_gaps() -> None:
    segment = spoken_at(("R&B", 1.0, 1.5), ("then", 1.5, 1.5), ("rock", 2.0, 3.0))
    read = webvtt.WebVTT.from_string(shown(transcript_of(segment), "vtt", highlight_words=True), strict=True)
    assert [(cue.start, cue.end, cue.raw_text) for cue in read.captions] == [
        ("00:00:01.000", "00:00:01.500", "<u>R&amp;B</u> then rock"),
        ("00:00:01.500", "00:00:02.000", "R&amp;B then rock"),
        ("00:00:02.000", "00:00:03.000", "R&amp;B then <u>rock</u>"),
    ]


def test_paragraphs_begin_after_a_pause_and_carry_their_time() -> None:
    said: list[tuple[float, float, str]] = [(0, 4, "One."), (4.5, 8, "Two."), (3605, 3609, "Later.")]
    segments = [Segment(id=n, start=start, end=end, text=text) for n, (start, end, text) in enumerate(said)]
    body: Any = shown(transcript_of(*segments), "md").split("# talk\n\n")[1]
    assert body == "**00:00:00** One. Two.\n\n**01:00:05** Later.\n"
