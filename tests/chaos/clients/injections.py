"""Speech that wants to be code: sixty texts through a whole daemon, read back from every format.

Runs in: the chaos run. The readers are html.parser, csv, PyYAML, markdown-it and `chaos.clients.result_readers`.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from chaos.clients.result_readers import ReadCue, live_tags, srt_cues, vtt_cues, vtt_text
from chaos.daemon.broken_daemon import broken_daemon
from chaos.daemon.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

INJECTIONS = (
    # HTML
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "</script><script>"),
    *('"><iframe src=javascript:alert(1)>', "<a href='javascript:alert(1)'>x</a>", "<!-- comment", "--><b>x"),
    *("<![CDATA[ x ]]><i>", "<?php echo 1 ?>", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;script&#62;"),
    *("<scr\0ipt>alert(1)</scr\0ipt>", "<\nscript\n>alert(1)", "<ScRiPt >x", "<math><mi//xlink:href='data:x'>"),
    *(
        "<style>*{display:none}</style>",
        "<base href=//evil.example>",
        "<meta http-equiv=refresh content=0>",
        "a < b > c",
    ),
    # WebVTT
    *("00:00:01.000 --> 00:00:02.000", "x --> y", "a\n\nNOTE hidden\n\nb", "a\n\nSTYLE\n::cue{color:red}\n\nb"),
    *(
        "a\n\nREGION\nid:x\n\nb",
        "WEBVTT",
        "<v Somebody>words</v>",
        "<c.red>red</c>",
        "<00:00:00.100>later",
        "<ruby>x<rt>y",
    ),
    *("a\n\n00:00.000 --> 99:00.000\nforged", "a\r\n\r\n1\r\n00:00:00,000 --> 01:00:00,000\r\nforged", "a\r\rNOTE b"),
    # SubRip and what its players add
    *(
        "1\n00:00:00,000 --> 00:00:09,000\nforged",
        "{\\an8}up",
        "{\\pos(1,1)}there",
        "{Y:i}leaning",
        "<font size=99>big",
    ),
    *("<b>bold", "2", "999\n", "{y:i}{c:$0000ff}", "<i>", "\\h\\N\\n"),
    # Markdown and YAML
    *(
        "[x](javascript:alert(1))",
        "![x](http://evil.example/x.png)",
        "<http://evil.example>",
        "# Heading",
        "---",
        "```\ncode",
    ),
    *(
        "[a]: http://evil.example",
        "**bold** _leaning_ `code`",
        "| a | b |\n|---|---|",
        "title: forged",
        "> quoted",
        "1. first",
    ),
    # Tables, terminals, writing systems
    *(
        '=HYPERLINK("http://evil.example")',
        "+1+1",
        "@SUM(A1)",
        "-2+3|cmd",
        "a\tb\tc",
        "\x1b[31mred\x1b]0;x\x07",
        "a\u202eb",
    ),
    *("a\u2028b\u2029c", "a\x85b\x0bc\x0cd"),
)
FORMATS = ("json", "srt", "vtt", "txt", "tsv", "md")
HARMLESS = {"h1", "p", "strong", "em"}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
NAME = "<img src=x onerror=alert(1)> --> {\\an8} [x](y).wav"

Reader = Callable[[str, Sequence[str]], str | None]
"""A file's content and what was said → what is wrong; None: nothing."""


def speak(trial: Trial, tally: Tally) -> None:
    """One recording in which somebody says all of it, with a name of the same kind."""
    said = trial.folder / "said.json"
    said.write_text(json.dumps(INJECTIONS))
    engine = {"WHISPER_BACKEND": "chaos.daemon.stub_engines:SayingTranscriber", "STUB_SAYS": str(said)}
    with broken_daemon(trial.folder / "home3", STENO_OUTPUT_FORMATS=",".join(FORMATS), **engine) as daemon:
        place = trial.folder / "said"
        place.mkdir()
        job = daemon.finished(daemon.submit(make(place / NAME, 0, chunks=len(INJECTIONS)).path))
        tally.trials += len(INJECTIONS)
        tally.faults += len(INJECTIONS)
        if not tally.expect(job["status"] == "done", f"injections: {job['status']}, {job['error']}"):
            return
        for name, path in job["outputs"].items():
            content = Path(path).read_bytes().decode()
            if wrong := READERS[name](content, INJECTIONS):
                tally.changed += 1
                tally.wrong.append(f"{name}: {wrong}")
    tally.figures["injections"] = f"{len(INJECTIONS)} texts in {len(job['outputs'])} formats"


def _words(texts: Sequence[str]) -> list[str]:
    """What is to be read in the end: no control characters, white space of any kind between words."""
    return CONTROL.sub("", " ".join(texts)).split()


def _difference(read: list[str], said: Sequence[str]) -> str | None:
    meant = _words(said)
    if read == meant:
        return None
    at = next((n for n, pair in enumerate(zip(read, meant, strict=False)) if pair[0] != pair[1]), len(meant))
    return f"says {read[at : at + 6]} where {meant[at : at + 6]} was said"


def _json(content: str, said: Sequence[str]) -> str | None:
    return _difference(_words([segment["text"] for segment in json.loads(content)["segments"]]), said)


def _txt(content: str, said: Sequence[str]) -> str | None:
    if len(content.split("\n")) != len(said) + 1:
        return f"{len(said)} segments became {content.count(chr(10))} lines"
    return _control(content) or _difference(content.split(), said)


def _tsv(content: str, said: Sequence[str]) -> str | None:
    rows = list(csv.reader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    if len(rows) != len(said) or any(len(row) != 3 for row in rows):
        return f"{len(said)} segments became {len(rows)} rows"
    if formulas := [row for row in rows if row[2].startswith(("=", "+", "-", "@"))]:
        return f"a spreadsheet would run {formulas[0]}"
    texts = [row[2].removeprefix("'") if row[2][1:2] in ("=", "+", "-", "@") else row[2] for row in rows]
    return _control(content) or _difference(" ".join(texts).split(), said)


def _cues(cues: list[ReadCue]) -> str | None:
    for before, after in pairwise(cues):
        if not before.start < before.end <= after.start + 0.001:
            return f"a cue lasts from {before.start} to {before.end}, the next begins at {after.start}"
    return None


def _vtt(content: str, said: Sequence[str]) -> str | None:
    cues = vtt_cues(content)
    if tags := [cue.text for cue in cues if live_tags(cue.text).tags]:
        return f"a live tag in {tags[0]!r}"
    if re.search(r"^(?:NOTE|STYLE|REGION)\b", re.sub(r"(?m)^.*-->.*\n(?:.+\n)*", "", content), re.M):
        return "a block that nobody wrote"
    return _control(content) or _cues(cues) or _difference(" ".join(map(vtt_text, cues)).split(), said)


LOOKALIKES = str.maketrans("‹›", "<>")
BRACES = str.maketrans("{}", "()")


def _srt(content: str, said: Sequence[str]) -> str | None:
    cues = srt_cues(content)
    if live := [cue.text for cue in cues if live_tags(cue.text).tags or set("<{") & set(cue.text)]:
        return f"a live tag in {live[0]!r}"
    read = " ".join(cue.text.translate(LOOKALIKES) for cue in cues).split()
    return _control(content) or _cues(cues) or _difference(read, [text.translate(BRACES) for text in said])


def _md(content: str, said: Sequence[str]) -> str | None:
    _, matter, prose = content.split("---\n", 2)
    facts = yaml.safe_load(matter)
    if facts["source"] != NAME or facts["title"] != NAME.removesuffix(".wav"):
        return f"the front matter says {facts}"
    page = live_tags(MarkdownIt("commonmark", {"html": True}).render(prose))
    if live := [tag for tag, attributes in page.tags if tag not in HARMLESS or attributes]:
        return f"live tags: {live[:5]}"
    # The title, and the time before each paragraph, are ours.
    read = re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", page.text.partition(NAME.removesuffix(".wav"))[2]).split()
    return _control(content) or _difference(read, said)


def _control(content: str) -> str | None:
    found = CONTROL.search(content)
    return None if found is None else f"the control character {found[0]!r}"


READERS: Mapping[str, Reader] = {"json": _json, "txt": _txt, "tsv": _tsv, "vtt": _vtt, "srt": _srt, "md": _md}
