"""Hooks as people write them: they hang, print without end, read nothing, are not there.

Runs in: the test process, and the children it starts.
"""

import asyncio
import os
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest
from eventually import eventually, eventually_async
from no_leftovers import open_descriptors

from supervisor.followups.hook_command import HookCall, path_of
from supervisor.followups.hook_process import HookEnd, run_hook

pytestmark = pytest.mark.usefixtures("nothing_left")


def script(folder: Path, body: str, first_line: str = "#!/bin/sh") -> Path:
    path = folder / "hook"
    path.write_text(f"{first_line}\n{body}\n")
    path.chmod(0o755)
    return path


def call(*argv: object, says: bytes = b'{"event": "done"}\n') -> HookCall:
    environment = {"PATH": path_of(os.environ["PATH"], "/nowhere"), "STENO_JOB_ID": "7"}
    return HookCall(tuple(map(str, argv)), environment, says)


async def ran(*argv: object, within_seconds: float = 20.0, says: bytes = b"{}\n") -> HookEnd:
    return await run_hook(call(*argv, says=says), within_seconds)


async def test_it_reads_the_job_in_a_session_of_its_own_at_home(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    body = f"""import os, pathlib, sys
leads = os.getsid(0) == os.getpgid(0) == os.getpid()
facts = sys.stdin.read(), leads, os.getcwd(), os.environ["STENO_JOB_ID"]
pathlib.Path({str(seen)!r}).write_text(repr(facts))"""
    hook = script(tmp_path, body, f"#!{sys.executable}")
    assert await ran(hook, says=b'{"event": "done"}\n') == HookEnd(None, 0, "")
    assert eval(seen.read_text()) == ('{"event": "done"}\n', True, str(Path.home()), "7")


async def test_it_inherits_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("")
    with (tmp_path / "ours").open() as ours:
        os.set_inheritable(ours.fileno(), True)
        check = f"import os; os.fstat({ours.fileno()})"
        end = await ran(sys.executable, "-c", check)
    assert end.exit_code == 1 and "Bad file descriptor" in end.said


async def test_one_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # The grandchild is deaf and holds stderr open.
    body = f"(trap '' TERM; echo $$ > {pids}.1; exec sleep 600) &\necho $! > {pids}\nsleep 600"
    began = time.monotonic()
    end = await ran(script(tmp_path, body), within_seconds=0.5)
    assert end.exit_code is None and end.why is not None and "longer than 0.5 s" in end.why
    assert time.monotonic() - began < 5
    grandchild = int(pids.read_text())
    eventually(lambda: not psutil.pid_exists(grandchild) or is_zombie(grandchild), 2, "the grandchild is gone")


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_one_that_is_deaf_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    end = await ran(script(tmp_path, "trap '' TERM; while :; do sleep 0.1; done"), within_seconds=0.3)
    assert end.why is not None and time.monotonic() - began < 5


async def test_fifty_megabytes_of_noise_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    much = "head -c 50000000 /dev/zero | tr '\\0' y"
    end = await ran(script(tmp_path, f"{much}\n{much} >&2\necho the end >&2\nexit 3"))
    assert (end.why, end.exit_code) == ("it exited with 3", 3)
    assert end.said.endswith("yyy" + "the end") and len(end.said) <= 1000
    assert psutil.Process().memory_info().rss - before < 20_000_000


async def test_one_that_never_reads_is_not_waited_for_and_one_that_closes_stdin_does_no_harm(tmp_path: Path) -> None:
    assert await ran("true", says=b"x" * 5_000_000) == HookEnd(None, 0, "")
    assert await ran(script(tmp_path, "exec <&-; exit 0"), says=b"x" * 5_000_000) == HookEnd(None, 0, "")


async def test_what_it_leaves_behind_on_purpose_lives_and_holds_nobody_up(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    end = await ran(script(tmp_path, f"sleep 60 &\necho $! > {pid_file}"))
    assert end == HookEnd(None, 0, "") and time.monotonic() - began < 5
    left = psutil.Process(int(pid_file.read_text()))
    assert left.is_running() and left.status() != psutil.STATUS_ZOMBIE
    left.kill()


@pytest.mark.parametrize(
    ("body", "why", "exit_code"),
    [("exit 7", "it exited with 7", 7), ("kill -SEGV $$", "it was ended by SIGSEGV", -11)],
)
async def test_a_failure_is_told_in_words(tmp_path: Path, body: str, why: str, exit_code: int) -> None:
    assert await ran(script(tmp_path, f"echo sorry >&2; {body}")) == HookEnd(why, exit_code, "sorry")


async def test_one_that_is_not_there_or_no_program_says_what_to_do(tmp_path: Path) -> None:
    for program, hint in (
        (tmp_path / "missing", "correct its path"),
        ("no-such-program-anywhere", "give its whole path"),
    ):
        end = await ran(program)
        assert end.why is not None and "there is no program" in end.why
        assert end.hint is not None and end.hint.startswith(hint)
    hook = script(tmp_path, "exit 0")
    hook.chmod(stat.S_IRUSR)
    if os.geteuid() != 0 or not os.access(hook, os.X_OK):
        end = await ran(hook)
        assert end.hint == f"chmod +x {hook}"
    hook.chmod(0o755)
    hook.write_text("neither shebang nor ELF")
    end = await ran(hook)
    assert end.why == f"{hook} is not a program" and end.hint
    end = await ran(script(tmp_path, "", "#!/no/such/interpreter"))
    assert end.why is not None and "first line" in end.why


async def test_a_stop_of_the_daemon_ends_it_in_time(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    body = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 0.1; done"
    running = asyncio.create_task(ran(script(tmp_path, body)))
    await eventually_async(lambda: pid_file.exists() and pid_file.read_text().strip())
    began = time.monotonic()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() and time.monotonic() - began < 4
    await eventually_async(lambda: not psutil.pid_exists(int(pid_file.read_text())), 5)


async def test_no_descriptor_is_left() -> None:
    await ran("true")
    before = open_descriptors()
    for _ in range(5):
        await ran("true")
        await ran("no-such-program-anywhere")
    await eventually_async(lambda: open_descriptors() <= before)
