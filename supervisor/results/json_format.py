"""transcript.json, piece by piece: a line for every word and other flat object, for people and for `git diff`. Pure.

Runs in: supervisor.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from ipc.transcript import SCHEMA_VERSION, EnginesUsed, Segment, Unheard, Word
from supervisor.results.transcript import JobTranscript

IN_ONE_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
NOT_ALWAYS = frozenset({"words", "timing_doubtful", "voice_seconds", "repeats"})
A_LINE_EACH = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n      ", ": "))
"""Encodes a flat object three levels deep: line breaks between its items, never inside a text."""


def json_pieces(transcript: JobTranscript) -> Iterator[str]:
    """An `ipc.transcript.Transcript` in its order; `repeats`, `timing_doubtful`, `interpolated` only if they are set.

    Segments appear as text and as words, so they are read twice.
    """
    yield f'{{\n  "schema_version": {SCHEMA_VERSION},\n  "text": "'
    for piece in transcript.text():
        yield IN_ONE_LINE.encode(piece)[1:-1]
    yield '",\n'
    facts: Mapping[str, object] = {
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration,
        "timing": transcript.timing,
        "no_speech": transcript.no_speech,
    }
    for name, fact in facts.items():
        yield f'  "{name}": {IN_ONE_LINE.encode(_rounded(fact))},\n'
    if transcript.recording is not None:
        # Unrounded: a comparison with the file needs every digit.
        yield f'  "recording": {IN_ONE_LINE.encode(transcript.recording.model_dump(exclude_none=True))},\n'
    yield from _list("segments", map(_segment, transcript.segments()))
    yield from _list("unheard", map(_unheard, transcript.unheard))
    yield from _list("word_segments", map(_word, transcript.words()))
    yield f'  "engine": {_engines(transcript.engine)}\n}}\n'


def _list(name: str, items: Iterable[str]) -> Iterator[str]:
    yield f'  "{name}": ['
    before, after = "", "],\n"
    for item in items:
        yield f"{before}\n    {item}"
        before, after = ",", "\n  ],\n"
    yield after


def _segment(segment: Segment) -> str:
    facts = {name: _rounded(fact) for name, fact in vars(segment).items() if name not in NOT_ALWAYS}
    words = ",".join(f"\n        {_word(word)}" for word in segment.words)
    listed = f"[{words}\n      ]" if words else "[]"
    doubtful = ',\n      "timing_doubtful": true' if segment.timing_doubtful else ""
    repeats = "" if segment.repeats is None else f',\n      "repeats": {segment.repeats}'
    return f'{{\n      {A_LINE_EACH.encode(facts)[1:-1]},\n      "words": {listed}{doubtful}{repeats}\n    }}'


def _unheard(stretch: Unheard) -> str:
    return IN_ONE_LINE.encode({name: _rounded(fact) for name, fact in vars(stretch).items()})


def _word(word: Word) -> str:
    return IN_ONE_LINE.encode(
        {name: _rounded(fact) for name, fact in vars(word).items() if fact or name != "interpolated"}
    )


def _engines(used: EnginesUsed) -> str:
    lines = [f'"{role}": {IN_ONE_LINE.encode(engine)}' for role, engine in used.model_dump().items()]
    if used == EnginesUsed():
        return f"{{{', '.join(lines)}}}"
    return "{\n    " + ",\n    ".join(lines) + "\n  }"


def _rounded(fact: object) -> object:
    """Times in milliseconds, scores with as many digits: short floats. Rounding keeps the order."""
    return round(fact, 3) if isinstance(fact, float) else fact
