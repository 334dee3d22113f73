"""What may be typed after `steno`, and which exit code comes back: no daemon, no socket.

Runs in: the test process.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import steno
from client.commands.jobs import each
from client.commands.transcribe import can_do
from client.terminal import choices, exit_codes
from client.terminal.errors import Refusal
from config.model_names import CODE_OF, language_code
from ipc.api_messages import JobView
from ipc.status_views import DaemonView, QueueView, StatusView, WorkerView

VERBS = (
    "submit wait jobs show cancel retry transcribe serve status restart unload pause resume logs demo health doctor "
    "bench completion mcp"
)
FAMILIES = {
    "watch": "list add remove",
    "config": "show check edit reload",
    "models": "list pull remove",
    "service": "install uninstall status restart",
    "http": "token url",
}
EVERY_VERB = [(verb,) for verb in VERBS.split()] + [
    (family, verb) for family, verbs in FAMILIES.items() for verb in verbs.split()
]
CREATED = "2026-01-02T03:04:05.000+00:00"


def typed(*words: str) -> tuple[int, str]:
    """Exit code and all output."""
    result = CliRunner().invoke(steno.app, words)
    return result.exit_code, result.output


@pytest.mark.parametrize("verb", EVERY_VERB, ids=" ".join)
def test_every_verb_has_help_and_an_example(verb: tuple[str, ...]) -> None:
    code, page = typed(*verb, "--help")
    assert code == 0
    assert "Example" in page
    assert f"steno {' '.join(verb)}" in page


def test_help_needs_neither_pydantic_nor_httpx_nor_any_model_library() -> None:
    heavy = {"pydantic", "httpx", "watchdog", "numpy", "huggingface_hub", "fastapi", "supervisor", "workers"}
    script = (
        "import sys; from client import steno\n"
        "try: steno.app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & {heavy!r}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["submit"],
        ["submit", "a.wav", "--workflow", "dream"],
        ["submit", "a.wav", "-f", "exe"],
        ["submit", "a.wav", "--language", "Klingon"],
        ["submit", "a.wav", "--require-words", "--workflow", "transcribe"],
        ["submit", "a.wav", "--wat"],
        ["submit", "a.wav", "--prompt", "x" * 4001],
        ["submit", "a.wav", "-o", "caf\udce9"],
        ["wait"],
        ["wait", "0"],
        ["wait", "seven"],
        ["restart", "cook"],
        ["unload", "cook"],
        ["jobs", "--status", "gone"],
        ["jobs", "--limit", "0"],
        ["status", "--watch", "--json"],
        ["transcribe", "a.wav", "--word_timestamps", "maybe"],
        ["transcribe", "a.wav", "--require-words", "--no_align"],
        ["transcribe", "a.wav", "--beam_size", "5"],
        ["transcribe", "a.wav", "--initial_prompt", "x" * 4001],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str]) -> None:
    assert typed(*words)[0] == exit_codes.USAGE


@pytest.mark.parametrize(
    ("said", "meant"),
    [("English", "en"), ("en", "en"), ("mandarin", "zh"), ("Haitian Creole", "ht"), ("haw", "haw"), ("auto", None)],
)
def test_languages_are_taken_as_whisper_takes_them(said: str, meant: str | None) -> None:
    assert language_code(said) == meant


def test_every_language_of_whisper_has_its_name() -> None:
    assert len(set(CODE_OF.values())) == 100
    with pytest.raises(ValueError, match="Klingon"):
        language_code("Klingon")


def test_formats_are_a_list_or_all() -> None:
    assert choices.formats_of("srt, json,srt") == ("srt", "json")
    assert choices.formats_of("all") == choices.FORMATS
    for wrong in ("", ",", "docx", "all,srt"):
        with pytest.raises(ValueError, match="json"):
            choices.formats_of(wrong)


def job(**facts: object) -> JobView:
    return JobView.model_validate({"id": 1, "path": "/a", "status": "done", "created_at": CREATED} | facts)


def test_exit_codes_tell_jobs_apart() -> None:
    degraded = job(timing="mixed", degraded_reason="aligner_crashed")
    assert exit_codes.of_job(job(timing="word"), require_words=True) == 0
    assert exit_codes.of_job(degraded) == 0
    assert exit_codes.of_job(degraded, require_words=True) == 3
    assert exit_codes.of_job(job(status="failed")) == 4
    assert exit_codes.of_job(job(status="cancelled"), require_words=True) == 5


def test_of_many_jobs_the_worst_counts() -> None:
    assert exit_codes.worst([]) == 0
    assert exit_codes.worst([0, 3, 5, 4, 2]) == 4
    assert exit_codes.worst([0, 5, 3]) == 5
    assert exit_codes.worst([0, 2, 3]) == 2
    assert exit_codes.worst([3, 0]) == 3


def test_a_daemon_takes_a_job_with_any_model_but_only_with_the_aligner_it_has() -> None:
    worker = WorkerView(
        role="aligner",
        engine="whisperx",
        model="starter",
        device=None,
        state="ready",
        pid=1,
        restarts=0,
        last_death=None,
    )
    status = StatusView(
        daemon=DaemonView(pid=1, version="0", uptime_seconds=0),
        workers=(worker,),
        queue=QueueView(waiting=0, running=0, done=0, failed=0, paused=False),
        watches=(),
    )
    assert can_do(status, {})
    assert can_do(status, {"STENO_MODEL": "small"})
    assert can_do(status, {"STENO_MODEL": "small", "STENO_ALIGNMENT_MODEL": "starter"})
    assert not can_do(status, {"STENO_ALIGNMENT_MODEL": "x"})


def test_config_show_names_the_origin_and_a_mistake_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STENO_HOME", str(tmp_path))
    monkeypatch.setenv("STENO_MODEL", "tiny.en")
    code, said = typed("config", "show", "--json")
    assert code == 0
    assert json.loads(said)["model"] == {"value": "tiny.en", "from": "environment STENO_MODEL"}
    assert "tiny.en" in typed("config", "show", "--changed")[1]
    monkeypatch.setenv("STENO_TASK", "dance")
    monkeypatch.setattr(sys, "argv", ["steno", "config", "show"])
    with pytest.raises(SystemExit) as left:
        steno.main()
    assert left.value.code == exit_codes.USAGE
    assert "STENO_TASK" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("submit", "x.wav", "--prompt", "x" * 5000), "--prompt: must have at most 4000 characters"),
        (("submit", "x.wav", "--name", "{foo}"), "allowed in braces are stem"),
        (("submit", "x.wav", "--replace", "Kate"), 'write it as "wrong=right"'),
        (("transcribe", "x.wav", "--model", "x" * 5000), "--model: must have at most 4096 characters"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(words: tuple[str, ...], complaint: str) -> None:
    code, page = typed(*words)
    assert code == exit_codes.USAGE
    told = " ".join(page.replace("│", " ").split())
    assert complaint in told
    assert "Value error" not in told and "String should" not in told


def test_a_refused_job_is_a_json_line_for_scripts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cancel(job_id: int) -> JobView:
        if job_id == 1:
            raise Refusal("no_such_job", "there is no job 1", "`steno jobs` lists them")
        return JobView(id=job_id, path="/a.wav", status="cancelled", created_at=CREATED)

    assert each([1, 2], cancel, "cancelled", json=True) == exit_codes.USAGE
    said = capsys.readouterr()
    refused, done = map(json.loads, said.out.splitlines())
    assert (refused["id"], refused["error"]["code"], done["id"]) == (1, "no_such_job", 2)
    assert "there is no job 1" in said.err
    assert each([2], lambda job_id: None, "forgotten", json=False) == exit_codes.DONE
    assert capsys.readouterr().out == "job 2 forgotten\n"
