"""What a hook gets: its words, its surroundings, the job as JSON. And a notification that nobody can write into.

Runs in: the test process.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from client.daemon.private import NO_HOOKS
from config.loader import load
from config.places import find_places
from ipc.api_messages import JobError, JobView
from supervisor.followups.hook_command import HookCall, hook_call, notification, path_of
from supervisor.store.outbox import Event

JOB = JobView(
    id=7,
    path='/in/say "hi" & <b>go.m4a',
    status="done",
    timing="word",
    outputs={"srt": "/in/hi.srt"},
    created_at="2026-11-22T21:36:05.000+00:00",
)


def called(command: tuple[str, ...], event: Event = "done", job: JobView = JOB, **surroundings: str) -> HookCall:
    return hook_call(
        command,
        event,
        job,
        platform="linux",
        surroundings=surroundings,
        own_folder="/venv/bin",
        expand=lambda name: name.replace("~", "/home/me"),
    )


def said(call: HookCall) -> Any:
    return json.loads(call.says)


def test_the_job_comes_as_json_and_the_short_of_it_as_environment() -> None:
    call = called(("~/bin/tell", "~", "$HOME"), HOME="/home/me", PATH="/mine")
    assert call.argv == ("/home/me/bin/tell", "~", "$HOME"), "no shell, and only the program is looked for"
    assert said(call) == {"event": "done", "upgraded": False, "job": json.loads(JOB.model_dump_json())}
    assert call.environment["HOME"] == "/home/me"
    assert call.environment["PATH"].startswith("/mine:/opt/homebrew/bin:") and "/venv/bin" in call.environment["PATH"]
    told = {name: value for name, value in call.environment.items() if name.startswith("STENO_")}
    assert told == {"STENO_EVENT": "done", "STENO_JOB_ID": "7", "STENO_RECORDING": JOB.path}


def test_a_job_that_got_its_words_later_is_done_again() -> None:
    call = called(("tell",), "upgraded")
    assert (said(call)["event"], said(call)["upgraded"], call.environment["STENO_EVENT"]) == ("done", True, "done")


def test_a_path_is_never_empty_and_names_nothing_twice() -> None:
    assert path_of("", "/v").split(":")[-1] == "/v"
    assert path_of("/usr/bin:/x::/usr/bin", "/x").split(":").count("/usr/bin") == 1


def test_a_notification_of_macos_gets_its_words_as_arguments() -> None:
    argv = notification("done", JOB, "darwin")
    assert argv[0] == "/usr/bin/osascript"
    script = [argv[at + 1] for at, word in enumerate(argv) if word == "-e"]
    assert script == ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
    assert argv[-2:] == ("stenod", 'Transcribed: say "hi" & <b>go.m4a')
    assert "hi" not in "".join(script)


def test_a_notification_elsewhere_escapes_what_would_be_markup() -> None:
    assert called(("notify",)).argv == (
        "notify-send",
        "--app-name=stenod",
        "--",
        "stenod",
        'Transcribed: say "hi" &amp; &lt;b&gt;go.m4a',
    )
    assert called(("notify", "--loud")).argv[0] == "notify", "somebody's own program of that name"


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("failed", "Not transcribed: a.m4a (the file is empty)"),
        ("degraded", "Some words have no times: a.m4a (aligner_crashed)"),
        ("upgraded", "Words were timed: a.m4a"),
    ],
)
def test_a_notification_says_what_happened(event: Event, sentence: str) -> None:
    error = JobError(code="empty_file", message="the file is empty", hint="")
    update = {"path": "/in/a.m4a", "error": error, "degraded_reason": "aligner_crashed", "timing": "mixed"}
    assert notification(event, JOB.model_copy(update=update), "darwin")[-1] == sentence


def test_a_command_is_split_into_words_and_an_empty_word_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[hooks]\non_done = "say \'it is done\'"\non_failed = ["notify"]\n')
    places = find_places({"STENO_HOME": str(tmp_path)})
    hooks = load(places, {}).settings.hooks
    assert (hooks.on_done, hooks.on_failed) == (("say", "it is done"), ("notify",))
    hooks = load(places, NO_HOOKS).settings.hooks
    assert (hooks.on_done, hooks.on_failed, hooks.on_degraded) == ((), (), ()), "as a private daemon has it"
