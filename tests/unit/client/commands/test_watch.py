"""`steno watch`: what the flags ask for, and how a folder's differences from the settings read.

Runs in: the test process.
"""

import io
from pathlib import Path
from typing import Self

import pytest
from rich.console import Console
from typer.testing import CliRunner

from client import steno
from client.daemon import here
from client.terminal import exit_codes
from client.views.watches import watch_page
from ipc.api_messages import AddWatch, JobOptions
from ipc.status_views import PassedOverView, WatchView

EVIL = "/x/\x1b]0;owned\x07\n[red]\u202egnp.exe"


class DaemonOnPaper:
    """Writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[AddWatch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def add_watch(self, path: str, **how: object) -> WatchView:
        asked = AddWatch.model_validate({"path": path, **how})
        self.asked.append(asked)
        return WatchView(path=path, state="watching", recursive=asked.recursive, options=asked.options)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> DaemonOnPaper:
    paper = DaemonOnPaper()
    monkeypatch.setattr(here, "daemon", lambda: paper)
    return paper


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(steno.app, ["watch", *words])
    return result.exit_code, result.output


def test_every_flag_arrives(daemon: DaemonOnPaper) -> None:
    code, said = typed(
        *("add", "/rec", "--recursive", "--include", "*.m4a", "--include", "x/*", "--exclude", "draft*", "--polling"),
        *("--language", "German", "--task", "translate", "--workflow", "transcribe", "--prompt", "Käthe"),
        *("--replace", "Kate=Käthe", "--replace", "a = b=c", "--replace", "um=", "--model", "small", "-f", "md,srt"),
        *("-o", "out", "--name", "{date} {stem}", "--if-exists", "suffix", "--highlight-words"),
        *("--track", "2"),
        *("--priority", "archive"),
        *("--done", "done", "--failed", "/bad"),
    )
    assert code == 0, said
    (asked,) = daemon.asked
    assert set(AddWatch.model_fields) == asked.model_fields_set
    assert asked == AddWatch(
        path="/rec",
        recursive=True,
        include=("*.m4a", "x/*"),
        exclude=("draft*",),
        polling=True,
        done="done",
        failed="/bad",
        options=JobOptions(
            language="de",
            task="translate",
            workflow="transcribe",
            prompt="Käthe",
            replacements={"Kate": "Käthe", "a": "b=c", "um": ""},
            model="small",
            formats=("md", "srt"),
            output_dir="out",
            output_name="{date} {stem}",
            if_exists="suffix",
            highlight_words=True,
            track=2,
            priority="archive",
        ),
    )
    assert set(JobOptions.model_fields) == asked.options.model_fields_set


def test_without_flags_everything_is_as_the_settings_say(daemon: DaemonOnPaper) -> None:
    assert typed("add", "rec/../memos", "--no-polling")[0] == 0
    assert daemon.asked == [AddWatch(path=str(Path.cwd() / "memos"), polling=False)]


def test_folders_are_meant_within_the_watched_one_unless_they_begin_elsewhere(
    daemon: DaemonOnPaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for written, meant in [
        ("done", "done"),
        ("a/./b", "a/./b"),
        ("./done", str(Path.cwd() / "done")),
        ("../done", str(Path.cwd().parent / "done")),
        ("~/done", "/home/me/done"),
        (".hidden", ".hidden"),
    ]:
        assert typed("add", "/rec", "--done", written)[0] == 0
        assert daemon.asked[-1].done == meant


@pytest.mark.parametrize(
    "words",
    [("--replace", "Kate"), ("--replace", "=x"), ("-f", "exe"), ("--language", "Klingon"), ("--if-exists", "burn")],
)
def test_what_cannot_be_meant_is_a_usage_error(daemon: DaemonOnPaper, words: tuple[str, ...]) -> None:
    assert typed("add", "/rec", *words)[0] == exit_codes.USAGE
    assert not daemon.asked


# --- the page ----------------------------------------------------------------------------------------------------


def drawn(*watches: WatchView, width: int) -> str:
    page = io.StringIO()
    Console(file=page, width=width, markup=False, highlight=False, emoji=False, color_system=None).print(
        watch_page(watches)
    )
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def test_the_page_says_only_what_differs_from_the_settings() -> None:
    plain = WatchView(path="/home/me/Transcribe", state="watching", recursive=False)
    assert drawn(plain, width=80) == "/home/me/Transcribe  watching"
    special = WatchView(
        path="/Volumes/nas/talks",
        state="offline",
        recursive=True,
        note="its disk is not mounted; its recordings are taken when it is there again",
        permanent=False,
        polling=True,
        include=("*.m4a", "meetings/*"),
        done="/Volumes/nas/talks/done",
        options=JobOptions(language="de", formats=("md",), replacements={"Kate": "Käthe"}),
    )
    assert drawn(plain, special, width=80).splitlines() == [
        "/home/me/Transcribe  watching",
        "",
        "/Volumes/nas/talks  offline",
        "  why       its disk is not mounted; its recordings are taken when it is there",
        "            again",
        "  includes  subfolders",
        "  scans     at intervals, without file events",
        "  only      *.m4a, meetings/*",
        "  language  de",
        "  replaces  Kate → Käthe",
        "  writes    md",
        "  done      → /Volumes/nas/talks/done",
        "  added by  `steno watch add`",
    ]
    assert "taken when it is there again\n" in drawn(special, width=120)


def test_files_that_wait_or_are_passed_over_are_named_and_then_counted() -> None:
    passed = [PassedOverView(path=f"/rec/{number}.m4a", why="only_in_icloud") for number in range(7)]
    view = WatchView(path="/rec", state="watching", recursive=False, growing=("/rec/long.wav",), passed=tuple(passed))
    page = drawn(view, width=100)
    assert "being written    long.wav" in page
    assert "not transcribed  only in iCloud, skipped until downloaded: 0.m4a, 1.m4a, 2.m4a and 4 more" in page


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_name_cannot_take_over_the_terminal(width: int) -> None:
    everything = JobOptions(
        prompt=EVIL, model=EVIL, output_dir=EVIL, output_name=EVIL, replacements={EVIL: EVIL}, highlight_words=True
    )
    view = WatchView(
        path=EVIL,
        state="needs_permission",
        recursive=True,
        note=EVIL,
        growing=(EVIL,),
        passed=(PassedOverView(path=EVIL, why="name_is_not_utf8"),),
        include=(EVIL,),
        exclude=(EVIL,),
        done=EVIL,
        failed=EVIL,
        options=everything,
    )
    page = drawn(view, width=width)
    assert not set(page) & set("\x1b\x07\u202e")
    assert max(map(len, page.splitlines())) <= width
