"""The fields of an OpenAI request become the options of a job, or an error that names the field."""

from typing import Any

import pytest

from ipc.vocabulary import Task
from supervisor.api.dialects import InvalidField
from supervisor.api.openai.audio_request import AudioRequest, audio_request
from supervisor.api.uploads.form import Form


def request(task: Task = "transcribe", **fields: Any) -> AudioRequest:
    lists = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    return audio_request(Form(lists, None), task, None)


def refused(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidField) as no:
        request(**fields)
    return no.value.param, no.value.code


def test_nothing_but_a_file_gives_json_without_words() -> None:
    wanted = request()
    assert (wanted.format, wanted.stream, wanted.options.workflow) == ("json", False, "transcribe")


@pytest.mark.parametrize("shape", ["json", "text", "srt", "verbose_json", "vtt"])
def test_only_what_shows_words_waits_for_the_aligner(shape: str) -> None:
    waits = request(response_format=shape).options.workflow == "subtitle"
    assert waits == (shape in ("srt", "vtt"))
    assert request(response_format="verbose_json", timestamp_granularities="word").options.workflow == "subtitle"


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        ([], {"segment"}),
        (["word"], {"word"}),
        (["segment"], {"segment"}),
        (["word", "segment"], {"word", "segment"}),
        (["word,segment"], {"word", "segment"}),
        (['["word"]'], {"word"}),
    ],
)
def test_exactly_the_granularities_asked_for_are_given(written: list[str], chosen: set[str]) -> None:
    assert request(response_format="verbose_json", timestamp_granularities=written).granularities == chosen


@pytest.mark.parametrize(
    ("written", "code"),
    [("en", "en"), ("en-US", "en"), ("EN_gb", "en"), ("english", "en"), ("auto", None), ("", None)],
)
def test_a_language_may_be_a_code_a_name_or_left_open(written: str, code: str | None) -> None:
    assert request(language=written).options.language == code


def test_one_possible_language_is_the_language_and_of_several_the_worker_finds_one() -> None:
    assert request(languages=["de"]).options.language == "de"
    assert request(languages=["de", "en"]).options.language is None


def test_keywords_follow_the_prompt() -> None:
    assert (
        request(prompt="At the clinic.", keywords=["Zorro", "Käthe"]).options.prompt == "At the clinic. Zorro, Käthe"
    )
    assert len(request(prompt="x" * 9000).options.prompt or "") == 4000


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"response_format": "xml"}, ("response_format", "unsupported_value")),
        ({"response_format": "diarized_json"}, ("response_format", "unsupported_value")),
        ({"timestamp_granularities": "word"}, ("timestamp_granularities", "invalid_value")),
        ({"timestamp_granularities": "letter"}, ("timestamp_granularities", "invalid_value")),
        ({"language": "klingonish"}, ("language", "invalid_value")),
        ({"temperature": "warm"}, ("temperature", "invalid_value")),
        ({"temperature": "1.5"}, ("temperature", "invalid_value")),
        ({"temperature": "nan"}, ("temperature", "invalid_value")),
        ({"stream": "maybe"}, ("stream", "invalid_value")),
        ({"keywords": ["<b>"]}, ("keywords", "invalid_value")),
        ({"keywords": ["a\nb"]}, ("keywords", "invalid_value")),
        ({"known_speaker_names": ["Anna"]}, ("known_speaker_names", "unsupported_value")),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(fields: dict[str, Any], error: tuple[str, str]) -> None:
    assert refused(**fields) == error


def test_unknown_fields_and_those_without_effect_are_ignored() -> None:
    odd = {"vad_filter": "true", "hotwords": "x", "chunking_strategy": "auto", "include": ["logprobs"], "user": "me"}
    assert request(**odd) == request()


@pytest.mark.parametrize(
    ("shape", "streams"), [("json", True), ("text", True), ("srt", False), ("verbose_json", False)]
)
def test_only_text_is_streamed(shape: str, streams: bool) -> None:
    assert request(stream="true", response_format=shape).stream == streams
