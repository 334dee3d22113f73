"""What the daemon's own lines look like."""

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
import structlog

from config.logs import FILE_BYTES, start_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_events_and_libraries_become_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", json_lines=True)
    structlog.get_logger().debug("worker_polled")
    structlog.get_logger().info("job_taken", path="/a\nb\udcff.wav")
    logging.getLogger("watchdog").warning("queue of %s", 3)
    logging.getLogger("asyncio").info("chatter")
    taken, warned = map(json.loads, capsys.readouterr().err.splitlines())
    assert taken["timestamp"].endswith("Z")
    assert (taken["event"], taken["path"], taken["level"]) == ("job_taken", "/a\nb\udcff.wav", "info")
    assert (warned["event"], warned["level"]) == ("queue of 3", "warning")


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_traceback_never_shows_what_was_said(capsys: pytest.CaptureFixture[str], json_lines: bool) -> None:
    start_logging("debug", json_lines)
    words = "".join(["my ", "secret"])
    try:
        len(words) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("job_failed", id=3)
        logging.getLogger("library").exception("failed")
    written = capsys.readouterr().err
    assert written.count("ZeroDivisionError") == 2
    assert words not in written


def test_a_terminal_gets_the_local_time_of_day_and_the_file_the_whole_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    start_logging("info", json_lines=False, file=tmp_path / "log")
    structlog.get_logger().info("job_taken")
    monkeypatch.undo()
    time.tzset()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    stamp = datetime.fromisoformat(json.loads((tmp_path / "log").read_text())["timestamp"])
    assert stamp.utcoffset() == timedelta() and stamp.microsecond
    assert shown.startswith(f"{stamp + timedelta(hours=9):%H:%M:%S} [info")


def test_a_file_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", json_lines=False)
    structlog.get_logger().info("job_taken", path="a\x1b]0;title\x07\r.wav")
    written = capsys.readouterr().err
    assert r"a\x1b]0;title\x07\r.wav" in written
    assert "\x07" not in written


def test_a_log_folder_that_cannot_be_made_is_said_and_costs_only_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").touch()
    start_logging("info", json_lines=True, file=tmp_path / "logs" / "stenod.log", owns_file=True)
    structlog.get_logger().info("job_taken")
    unavailable, taken = map(json.loads, capsys.readouterr().err.splitlines())
    assert (unavailable["event"], taken["event"]) == ("log_file_unavailable", "job_taken")


def test_a_quiet_daemon_speaks_to_its_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "logs" / "stenod.log"
    start_logging("info", json_lines=True, file=file, owns_file=True, quiet=True)
    structlog.get_logger().info("job_taken")
    logging.getLogger("watchdog").warning("queue of %s", 3)
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["job_taken", "queue of 3"]
    assert capsys.readouterr().err == ""


def test_a_quiet_daemon_without_a_file_to_write_to_is_not_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").touch()
    start_logging("info", json_lines=True, file=tmp_path / "logs" / "stenod.log", quiet=True)
    assert json.loads(capsys.readouterr().err)["event"] == "log_file_unavailable"


@pytest.mark.parametrize("how", ["ab", "r+b"])
@pytest.mark.parametrize(("size", "left"), [(FILE_BYTES, FILE_BYTES), (FILE_BYTES + 1, 0)])
def test_a_stderr_file_that_has_grown_is_emptied_and_then_written_from_its_start(
    tmp_path: Path, size: int, left: int, how: Literal["ab", "r+b"]
) -> None:
    grown = tmp_path / "launchd.log"
    with grown.open("wb") as file:
        file.truncate(size)
    script = "import os; from config.logs import cut_back_stderr; cut_back_stderr(); os.write(2, b'late')"
    # launchd's own way to open it is to append; somebody else's may leave the offset where the end was.
    with grown.open(how) as stderr:
        stderr.seek(0, os.SEEK_END)
        subprocess.run([sys.executable, "-P", "-c", script], stderr=stderr, check=True, timeout=60)
    assert grown.stat().st_size == left + len(b"late")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_line_that_the_full_disk_behind_stderr_does_not_take_is_lost_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "stenod.log"
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        start_logging("info", json_lines=True, file=file, owns_file=True)
        structlog.get_logger().info("job_taken")
        logging.getLogger("watchdog").warning("queue of %s", 3)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["job_taken", "queue of 3"]
