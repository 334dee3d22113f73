"""What was said in a recording stays between its owner and the files."""

import shutil
from pathlib import Path

from daemon_under_test import MEMO, a_daemon
from eventually import eventually


def test_no_library_reports_home_nor_keeps_a_diary(tmp_path: Path) -> None:
    with a_daemon(HOME=str(tmp_path)) as daemon:
        assert daemon.finished(daemon.submit(Path(shutil.copy(MEMO, daemon.home))))["status"] == "done"
    assert not list(tmp_path.rglob("*")), "ONNX Runtime's telemetry would keep a device id here"


def test_no_log_line_holds_a_word_of_the_recording() -> None:
    with a_daemon(STENO_LOGS_LEVEL="debug") as daemon:
        job = daemon.finished(daemon.submit(Path(shutil.copy(MEMO, daemon.home))))
        text = daemon.transcript(job)["text"]
        files = (daemon.log, daemon.home / "logs" / "stenod.log")
        eventually(lambda: all("job_done" in file.read_text() for file in files), 10, "the end is in both logs")
        assert not any(text in file.read_text() for file in files)


def test_what_is_ours_alone_can_be_read_by_nobody_else() -> None:
    with a_daemon() as daemon:
        assert daemon.finished(daemon.submit(Path(shutil.copy(MEMO, daemon.home))))["status"] == "done"
        for folder in ("state", "run", "spool", "logs"):
            assert (daemon.home / folder).stat().st_mode & 0o077 == 0, folder
        assert daemon.socket.stat().st_mode & 0o177 == 0
        assert (daemon.home / "state" / "jobs.sqlite3").stat().st_mode & 0o077 == 0
