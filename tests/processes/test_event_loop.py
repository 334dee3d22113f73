"""A daemon whose loop stands still writes down where, and ends; one that was stopped or slept does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from eventually import eventually

CHILD = """
import asyncio, os, sys, time
from pathlib import Path
from supervisor.system.event_loop import LoopWatch
from supervisor.system.service_notify import ServiceNotice

async def main():
    watch = LoopWatch(1.2, Path(sys.argv[1]), ServiceNotice(os.environ, os.getpid()), os._exit)
    running = asyncio.ensure_future(watch.run())
    print("runs", flush=True)
    await asyncio.sleep(0.5)
    {what}
    await asyncio.sleep(2.0)
    running.cancel()
    await asyncio.wait([running])

def stand_still_here():
    {how}

asyncio.run(main())
"""


def child(report: Path, what: str, how: str = "time.sleep(60)") -> "subprocess.Popen[bytes]":
    code = CHILD.format(what=what, how=how)
    return subprocess.Popen([sys.executable, "-c", code, str(report)], stdout=subprocess.PIPE)


@pytest.mark.parametrize("how", ["time.sleep(60)", "while True: pass"])
def test_a_loop_that_stands_still_ends_the_process_and_says_where(tmp_path: Path, how: str) -> None:
    report = tmp_path / "crashes" / "daemon-frozen.txt"
    with child(report, "stand_still_here()", how) as process:
        assert process.wait(timeout=30) == os.EX_SOFTWARE
    assert "stand_still_here" in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_loop_that_turns_is_left_alone(tmp_path: Path) -> None:
    with child(tmp_path / "report", "pass") as process:
        assert process.wait(timeout=30) == 0
    assert not (tmp_path / "report").exists()


def test_a_process_that_was_stopped_for_long_goes_on(tmp_path: Path) -> None:
    with child(tmp_path / "report", "pass") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=30) == 0
    assert not (tmp_path / "report").exists()


def test_a_report_never_goes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("mine")
    (tmp_path / "report").symlink_to(tmp_path / "private")
    with child(tmp_path / "report", "stand_still_here()") as process:
        assert process.wait(timeout=30) == os.EX_SOFTWARE
    assert (tmp_path / "private").read_text() == "mine"


def test_systemd_hears_that_it_lives_and_no_longer_once_it_stands_still(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        address = f"/tmp/steno-notice-{os.getpid()}"
        line.bind(address)
        line.settimeout(20)
        try:
            code = CHILD.format(what="pass", how="pass")
            environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
            with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "r")], env=environment) as process:
                assert [line.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
                process.wait(timeout=30)
        finally:
            Path(address).unlink()
    eventually(lambda: process.returncode == 0, 5, "it ends")
