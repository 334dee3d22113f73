"""What the daemon's own lines look like."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from config.logs import start_logging


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
