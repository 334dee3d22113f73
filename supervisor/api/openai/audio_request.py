"""The fields of a transcription request → the options of a job and the shape of the answer. Pure.

Runs in: supervisor. Source: OpenAI's `openapi.yaml`, and what its SDKs send. Unknown fields are ignored.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from config.model_names import language_code
from ipc.api_messages import JobOptions
from ipc.vocabulary import Task
from supervisor.api.dialects import InvalidField
from supervisor.api.uploads.form import Form

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]
LONGEST_PROMPT = 4000
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})
SPEAKERS = ("known_speaker_names", "known_speaker_references")


@dataclass(frozen=True, slots=True)
class AudioRequest:
    """What a client asked for."""

    options: JobOptions
    format: ResponseFormat
    granularities: frozenset[Granularity]
    stream: bool


def audio_request(form: Form, task: Task, model: str | None) -> AudioRequest:
    """Raises InvalidField. `model`: what a job is to load, already resolved; None: the model of the settings."""
    shape = _format(form, task)
    granularities = _granularities(form, shape)
    _refuse_speakers(form)
    _temperature(form)
    # Words cost the aligner's time: only what shows them waits for it.
    wants_words = shape in ("srt", "vtt") or "word" in granularities
    options = JobOptions(
        workflow="subtitle" if wants_words else "transcribe",
        language=_language(form) if task == "transcribe" else None,
        task=task,
        prompt=_prompt(form),
        model=model,
    )
    return AudioRequest(options, shape, granularities, stream=_flag(form, "stream") and shape in ("json", "text"))


def _format(form: Form, task: Task) -> ResponseFormat:
    written = form.one("response_format") or "json"
    for known in get_args(ResponseFormat):
        if written == known:
            if known == "diarized_json":
                break
            return written  # type: ignore[return-value]  # one of the Literal's values
    allowed = ", ".join(one for one in get_args(ResponseFormat) if one != "diarized_json")
    why = (
        "speakers are not told apart yet" if written == "diarized_json" and task == "transcribe" else "it is unknown"
    )
    raise InvalidField(
        "response_format",
        "unsupported_value",
        f"response_format {written[:100]!r} is not supported: {why}",
        f"use one of {allowed}",
    )


def _granularities(form: Form, shape: ResponseFormat) -> frozenset[Granularity]:
    written = [
        one.strip().strip("\"'[]")
        for value in form.fields.get("timestamp_granularities", [])
        for one in value.split(",")
        if one.strip()
    ]
    wrong = sorted(set(written) - {"word", "segment"})
    if wrong:
        raise InvalidField(
            "timestamp_granularities",
            "invalid_value",
            f"{wrong[0][:100]!r} is not a granularity",
            "use word, segment or both",
        )
    if "word" in written and shape != "verbose_json":
        raise InvalidField(
            "timestamp_granularities",
            "invalid_value",
            f"word timestamps need response_format verbose_json, not {shape}",
            "set response_format to verbose_json",
        )
    chosen: set[Granularity] = set()
    if "word" in written:
        chosen.add("word")
    if "segment" in written or not written:
        chosen.add("segment")
    return frozenset(chosen)


def _refuse_speakers(form: Form) -> None:
    for name in SPEAKERS:
        if any(form.fields.get(name, [])):
            raise InvalidField(name, "unsupported_value", "speakers are not told apart yet", f"leave `{name}` out")


def _temperature(form: Form) -> None:
    """Checked only: the engines choose their own temperatures."""
    written = form.one("temperature")
    try:
        fits = written is None or 0.0 <= float(written) <= 1.0
    except ValueError:
        fits = False
    if not fits:
        raise InvalidField("temperature", "invalid_value", f"{written!r} is not a temperature", "use 0 to 1")


def _language(form: Form) -> str | None:
    """`en`, `en-US`, `english`; one of `languages` alone; None: the worker finds it."""
    written = form.one("language")
    if written is None:
        listed = [one for one in form.fields.get("languages", []) if one.strip()]
        # Of several, the worker finds the one that is spoken.
        written = listed[0] if len(listed) == 1 else None
    if written is None:
        return None
    try:
        return language_code(written.replace("_", "-").partition("-")[0])
    except ValueError as no:
        raise InvalidField("language", "invalid_value", str(no), "use a code as `en`") from None


def _prompt(form: Form) -> str | None:
    words = [one.strip() for one in form.fields.get("keywords", []) if one.strip()]
    for word in words:
        if any(sign in word for sign in "<>\r\n"):
            raise InvalidField(
                "keywords", "invalid_value", f"{word[:100]!r} contains <, > or a line break", "leave them out"
            )
    prompt = " ".join(part for part in (form.one("prompt") or "", ", ".join(words)) if part)
    # Whisper reads the end of a prompt, not its beginning.
    return prompt[-LONGEST_PROMPT:] or None


def _flag(form: Form, name: str) -> bool:
    written = (form.one(name) or "").strip().lower()
    if written in TRUE | FALSE:
        return written in TRUE
    raise InvalidField(name, "invalid_value", f"{name} is {written[:100]!r}, not true or false", "use true or false")
