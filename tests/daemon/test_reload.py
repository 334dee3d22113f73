"""Settings read again while the daemon runs, and the verbs that write them.

Runs in: the test process; the verbs run in processes of their own.
"""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from daemon_under_test import FAKES, MEMO, DaemonUnderTest, a_daemon
from eventually import eventually

from ipc.program import program


def write(daemon: DaemonUnderTest, text: str) -> None:
    (daemon.home / "config.toml").write_text(text)


def logged(daemon: DaemonUnderTest, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def steno(daemon: DaemonUnderTest, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "client.steno", *words],
        env={**daemon.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def an_editor(folder: Path, text: str) -> str:
    """A command that writes this into the file it is given."""
    program = folder / "an editor.py"
    program.write_text(f"import sys; open(sys.argv[1], 'w').write({text!r})\n")
    return f"{sys.executable} '{program}'"


def test_sighup_applies_what_can_change_and_says_what_cannot() -> None:
    with a_daemon() as daemon:
        write(daemon, 'model = "another"\n[output]\nformats = ["txt"]\n')
        os.kill(daemon.pid, signal.SIGHUP)
        (told,) = eventually(lambda: logged(daemon, "settings_reloaded"), 10, "reloaded")
        assert (told["applied"], told["needs_restart"]) == (["output.formats"], ["model"])
        recording = daemon.home / "memo.flac"
        recording.write_bytes(MEMO.read_bytes())
        assert list(daemon.finished(daemon.submit(recording))["outputs"]) == ["txt"]
        write(daemon, '[output]\nformats = ["txt"]\n[logs]\nlevel = "error"\n')
        assert daemon.post("/v1/reload").json() == {"applied": ["logs.level"], "needs_restart": []}
        daemon.post("/v1/queue/nothing")
        assert daemon.post("/v1/reload").json() == {"applied": [], "needs_restart": []}
        assert len(logged(daemon, "settings_reloaded")) == 1, "from the new level on nobody is told"


def test_a_mistake_is_refused_with_its_line_and_all_stays_as_it_is() -> None:
    with a_daemon() as daemon:
        write(daemon, '[output]\nformats = ["txt"]\n[[watch]]\npath = "x"\n')
        answer = daemon.post("/v1/reload")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_config")
        assert "config.toml line 4" in answer.json()["detail"]
        os.kill(daemon.pid, signal.SIGHUP)
        eventually(lambda: len(logged(daemon, "settings_not_reloaded")) == 2, 10, "both are in the log")
        verb = steno(daemon, "config", "reload")
        assert verb.returncode == 2
        assert "config.toml line 4" in verb.stderr
        write(daemon, '[output]\nformats = ["txt"]\n')
        assert daemon.post("/v1/reload").json() == {"applied": ["output.formats"], "needs_restart": []}


def test_edit_puts_what_is_right_in_place_and_tells_the_daemon(tmp_path: Path) -> None:
    with a_daemon() as daemon:
        write(daemon, "# mine\n")
        file = daemon.home / "config.toml"
        file.chmod(0o640)
        wrong = steno(daemon, "config", "edit", VISUAL=an_editor(tmp_path, '# mine\nprompt = "a"\nmodle = "x"\n'))
        assert wrong.returncode == 2
        assert "config.draft.toml line 3" in wrong.stderr
        assert "did you mean model?" in wrong.stderr
        assert file.read_text() == "# mine\n"
        new = '# mine\nprompt = "a"\nmodel = "x"\n'
        right = steno(daemon, "config", "edit", VISUAL=an_editor(tmp_path, new))
        assert right.returncode == 0, right.stderr
        assert "continuing with" in right.stderr, "the draft was kept"
        assert "active now: prompt\nafter `steno service restart`: model\n" in right.stdout
        assert (file.read_text(), file.stat().st_mode & 0o777) == (new, 0o640)
        assert not list(daemon.home.glob("*draft*"))


def test_a_daemon_whose_terminal_was_closed_stops_and_one_that_has_it_reads_its_settings() -> None:
    with TemporaryDirectory(prefix="steno-test-", dir="/tmp") as home:
        daemon = DaemonUnderTest(Path(home), FAKES)
        master, slave = pty.openpty()
        command = program("supervisor")
        with subprocess.Popen(
            command, env=daemon.environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        ) as in_terminal:
            os.close(slave)
            said = b""
            try:
                while b"worker_ready" not in said:
                    said += os.read(master, 4096)
                in_terminal.send_signal(signal.SIGHUP)
                while b"settings_reloaded" not in said:
                    said += os.read(master, 4096)
                os.close(master)
                in_terminal.send_signal(signal.SIGHUP)
                assert in_terminal.wait(10) == 0
            finally:
                in_terminal.kill()
