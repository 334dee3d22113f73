"""What only shows on a real terminal and in a real shell: the live page, bars, TAB.

Runs in: the test process; the command in a child, on a pseudo-terminal of its own.
"""

import asyncio
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from eventually import eventually_async
from running_api import RunningApi
from structlog.testing import capture_logs

from config.places import find_places
from ipc.api_messages import JobView, SubmitFile
from ipc.events import JobProgressed
from ipc.status_views import RunningView

STENO = Path(sys.executable).with_name("steno")
LINES, COLUMNS = 24, 80
INTO_SCREEN, OUT_OF_SCREEN, CURSOR_BACK = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
TABBING = """
eval "$(steno completion bash)"
tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=(); _steno_completion steno; echo "${COMPREPLY[*]}"; }
tab steno st; tab steno restart ""; tab steno submit --format j; tab steno show ""; tab steno retry ""
tab steno watch remove ""; tab steno submit /nowhere
"""

INTERRUPTED_OPENING = """
import signal, sys
from rich.console import Console
push = Console.push_render_hook
def interrupted(console, hook):
    signal.raise_signal(signal.SIGINT)
    push(console, hook)
Console.push_render_hook = interrupted
from client.steno import main
sys.argv = ["steno", "status", "--watch"]
main()
"""
"""Ctrl-C after rich has entered the alternate screen and before it can leave it again."""


@pytest.fixture(autouse=True)
def quiet_daemon() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a STENO_HOME short enough for one."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as home:
        monkeypatch.setenv("STENO_HOME", home)
        monkeypatch.setenv("PATH", f"{STENO.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("TERM", "xterm-256color")
        yield find_places({"STENO_HOME": home}).socket


@pytest.fixture
async def api(socket: Path) -> AsyncIterator[RunningApi]:
    async with RunningApi(socket)() as running:
        yield running


class Terminal:
    """A command on a terminal of its own, and everything it has drawn so far."""

    def __init__(self, *words: str, program: str | Path = STENO) -> None:
        self.master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (LINES, COLUMNS))
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [program, *words], stdin=self._slave, stdout=self._slave, stderr=self._slave, start_new_session=True
        )
        os.set_blocking(self.master, False)
        self.drawn = ""

    def look(self) -> str:
        """All of it; what has no line ends of its own is not lost either."""
        try:
            while piece := os.read(self.master, 65_536):
                self.drawn += piece.decode(errors="replace")
        except BlockingIOError:
            pass
        return self.drawn

    def shows(self, text: str) -> bool:
        return text in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.look())

    async def leaves(self) -> int:
        """Its exit code; the terminal is as it was."""

        def is_gone() -> bool:
            self.look()  # who cannot write cannot leave
            return self.process.poll() is not None

        await eventually_async(is_gone, 20, "it leaves")
        assert termios.tcgetattr(self._slave) == self.before
        return int(self.process.returncode)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self._slave):
            os.close(fd)


@contextmanager
def on_a_terminal(*words: str, program: str | Path = STENO) -> Iterator[Terminal]:
    terminal = Terminal(*words, program=program)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_the_live_page_gives_the_terminal_back_however_it_ends(
    api: RunningApi, how: signal.Signals, code: int
) -> None:
    job = await api.desk.submit(SubmitFile(path="/in/talk.wav"))
    with on_a_terminal("status", "--watch") as terminal:
        await eventually_async(lambda: terminal.shows("press Ctrl-C to quit"), 30, "the page")
        assert terminal.shows("0 waiting · 0 running")
        api.desk.move(job.model_copy(update={"status": "done"}))
        # A terminal turns ^C into SIGINT for its foreground; here there is no shell to have made it one.
        terminal.process.send_signal(how)
        assert await terminal.leaves() == code
        assert terminal.look().count(INTO_SCREEN) == terminal.look().count(OUT_OF_SCREEN) == 1
        assert terminal.look().rindex(CURSOR_BACK) > terminal.look().index(INTO_SCREEN)
        assert "Traceback" not in terminal.look()


async def test_ctrl_z_takes_the_live_page_away_until_the_shell_continues_it(api: RunningApi) -> None:
    with on_a_terminal("status", "--watch") as terminal:
        await eventually_async(lambda: terminal.shows("press Ctrl-C to quit"), 30, "the page")
        terminal.process.send_signal(signal.SIGTSTP)
        stopped = psutil.Process(terminal.process.pid)
        await eventually_async(lambda: stopped.status() == psutil.STATUS_STOPPED, 10)
        assert terminal.look().count(INTO_SCREEN) == terminal.look().count(OUT_OF_SCREEN) == 1
        terminal.process.send_signal(signal.SIGCONT)
        await eventually_async(lambda: terminal.look().count(INTO_SCREEN) == 2, 10, "the page again")
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.leaves() == 0


async def test_ctrl_c_while_the_live_page_opens_leaves_the_terminal_as_it_was(api: RunningApi) -> None:
    with on_a_terminal("-c", INTERRUPTED_OPENING, program=sys.executable) as terminal:
        assert await terminal.leaves() == 0
        assert terminal.look().count(INTO_SCREEN) == terminal.look().count(OUT_OF_SCREEN) == 1


async def test_the_live_page_waits_for_a_daemon_that_is_away(socket: Path) -> None:
    first = RunningApi(socket)
    async with first():
        with on_a_terminal("status", "--watch") as terminal:
            await eventually_async(lambda: terminal.shows("press Ctrl-C to quit"), 30, "the page")
            first.stop.set()
            await eventually_async(lambda: terminal.shows("waiting for it"), 20, "an apology")
            await eventually_async(lambda: not socket.exists(), 5)
            seen = len(terminal.look())
            async with RunningApi(socket)():
                await eventually_async(lambda: "0 waiting" in terminal.look()[seen:], 20)
                await eventually_async(lambda: "waiting for it" not in terminal.look()[-2000:], 20, "it is back")
                terminal.process.send_signal(signal.SIGINT)
                assert await terminal.leaves() == 0


async def test_a_live_page_without_a_terminal_is_refused_with_the_way_that_works(api: RunningApi) -> None:
    command = await asyncio.create_subprocess_exec(STENO, "status", "--watch", stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(command.communicate(), 30)
    assert (command.returncode, out) == (2, b"")
    assert b"GET /v1/events" in err


async def test_many_files_have_bars_below_the_lines_of_those_that_are_finished(api: RunningApi) -> None:
    with on_a_terminal("submit", "/a.wav", "/b.wav", "/c.wav", "--wait") as terminal:
        await eventually_async(lambda: len(api.desk.list) == 3 and api.desk.bus._listeners, 30)
        running = api.desk.move(api.desk.list[2].model_copy(update={"status": "transcribing"}))
        view = {"id": 2, "path": "/b.wav", "status": "transcribing", "phase": "transcribing"}
        figures = {"done_seconds": 30, "audio_seconds": 60, "share": 0.5, "speed": 12.0, "eta_seconds": 2.5}
        api.desk.bus.publish(JobProgressed(running=RunningView.model_validate(view | figures)))
        await eventually_async(lambda: terminal.shows(" 50% transcribing · 12× · seconds left"), 10)
        await eventually_async(lambda: terminal.shows("0 of 3 · 2 waiting"), 10)
        for job in (running, api.desk.list[1], api.desk.list[3]):
            api.desk.move(JobView.model_validate(job.model_dump() | {"status": "done", "timing": "word"}))
        assert await terminal.leaves() == 0
        for name in "abc":
            assert terminal.shows(f"done {name}.wav")
        assert terminal.look().endswith("\x1b[2K"), "the last bar is wiped away"


async def test_tab_completes_in_a_real_bash(api: RunningApi) -> None:
    done = await api.desk.submit(SubmitFile(path="/in/a.wav"))
    await api.desk.submit(SubmitFile(path="/in/$(touch owned).wav"))
    api.desk.move(done.model_copy(update={"status": "failed"}))
    bash = await asyncio.create_subprocess_exec("bash", "--norc", "-c", TABBING, stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(bash.communicate(), 60)
    assert err == b""
    assert out.decode().splitlines() == ["status", "transcriber aligner", "json", "2 1", "1", "/in", ""]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
async def test_tab_completes_in_a_zsh_without_any_setup(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.desk.submit(SubmitFile(path="/in/a.wav"))
    monkeypatch.setenv("PS1", "$ ")
    with on_a_terminal("-f", "-i", program="zsh") as terminal:
        await eventually_async(lambda: terminal.shows("$ "), 20, "zsh is there")
        os.write(terminal.master, b'eval "$(steno completion zsh)"; echo ready=$?\n')
        await eventually_async(lambda: terminal.shows("ready=0"), 20, "the script is read")
        assert not terminal.shows("command not found")
        os.write(terminal.master, b"echo steno=; steno restart tran\t")
        await eventually_async(lambda: terminal.shows("restart transcriber"), 20, "a role")
        os.write(terminal.master, b"\x15steno show \t")
        await eventually_async(lambda: terminal.shows("show 1"), 20, "a job")
        os.write(terminal.master, b"\x15exit\n")
        await eventually_async(lambda: terminal.look() and terminal.process.poll() is not None, 20, "zsh leaves")


@pytest.mark.parametrize("quiet", [False, True])
async def test_serve_says_what_it_watches_and_how_to_stop_it(
    socket: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    home = socket.parent.parent
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WHISPER_BACKEND", "fake_engines:EchoTranscriber")
    monkeypatch.setenv("ALIGNMENT_BACKEND", "none")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    with on_a_terminal("serve", *(["--quiet"] if quiet else [])) as terminal:
        await eventually_async(socket.exists, 30, "it listens")
        await eventually_async(lambda: "daemon_started" in (home / "logs" / "stenod.log").read_text(), 30, "its log")
        await eventually_async(lambda: terminal.shows("watching ~/Transcribe. Ctrl-C stops it."))
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.leaves() == 0
        plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.look())
        lines = plain.splitlines()
        assert len(lines) == 2 if quiet else re.fullmatch(r"\d\d:\d\d:\d\d \[info .*", lines[2]), plain
