"""`steno service` as it is typed, with a launchctl and a systemctl that start the real daemon from what was written.

Runs in: the test process, the command too; the service managers and the daemon run in processes of their own.
"""

import json
import os
import plistlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from daemon_under_test import FAKES, MEMO, QUICK, SUPPORT, TEST_PATH
from eventually import eventually
from typer.testing import CliRunner

from client import steno
from client.commands import service as service_verbs
from client.machine import service as service_here
from client.terminal.errors import Refusal
from ipc.program import program
from launchd import launch_agent as macos

NO_DAEMON, USAGE = 69, 2
BARE = ("LANG", "LC_ALL", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")


class Machine:
    """A home, a shell's environment, and one of the two service managers."""

    def __init__(self, folder: Path, platform: str) -> None:
        self.platform = platform
        self.home = folder / "steno"
        self.services = folder / "services"
        self.services.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name in ("launchctl", "systemctl"):
            fake = programs / name
            fake.write_text(f'#!/bin/sh\nexec {sys.executable} {SUPPORT}/fake_service_managers.py {name} "$@"\n')
            fake.chmod(0o755)
        self.environment = {
            **{name: os.environ[name] for name in BARE if name in os.environ},
            **FAKES, **QUICK, "ALIGNMENT_BACKEND": "none",
            "HOME": str(folder), "PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": TEST_PATH,
            "STENO_HOME": str(self.home), "FAKE_SERVICES": str(self.services), "HF_TOKEN": "hf_secret",
        }  # fmt: skip

    def steno(self, *words: str, **changed: str) -> tuple[int, str]:
        """What is typed, on this platform; `changed` is set in the shell for this once. Exit code and all output."""
        with (
            patch.dict(os.environ, self.environment | changed, clear=True),
            patch.object(service_verbs, "PLATFORM", self.platform),
        ):
            result = CliRunner().invoke(steno.app, words)
        match result.exception:
            case Refusal() as refusal:
                return USAGE, f"{result.output}{refusal.message}\n{refusal.hint}"
            case None | SystemExit():
                return result.exit_code, result.output
            case error:
                raise error

    def service(self, *words: str, **changed: str) -> str:
        """The output of a `steno service` that succeeds."""
        code, output = self.steno("service", *words, **changed)
        assert code == 0, output + self.said()
        return output

    def refused(self, *words: str, **changed: str) -> str:
        code, output = self.steno("service", *words, **changed)
        assert code == USAGE, output
        return output

    def status(self) -> dict[str, Any]:
        code, output = self.steno("service", "status", "--json")
        found: dict[str, Any] = json.loads(output)
        assert code == (0 if found["answers"] and found["loaded"] else NO_DAEMON)
        return found

    def calls(self) -> list[str]:
        """What the service manager was asked to change since the last time."""
        file = self.services / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [
            " ".join(call.split()[1:])
            for call in found
            if not {"print", "show", "print-disabled"} & set(call.split())
        ]

    def said(self) -> str:
        return "".join(file.read_text() for file in (*self.home.glob("logs/*"), *self.services.glob("journal")))

    def clear(self) -> None:
        for process in psutil.process_iter(["environ"]):
            if str(self.home) in (process.info["environ"] or {}).values():
                process.kill()
        shutil.rmtree(self.home.parent, ignore_errors=True)


@pytest.fixture
def mac() -> Iterator[Machine]:
    yield from a_machine("darwin")


@pytest.fixture
def linux() -> Iterator[Machine]:
    yield from a_machine("linux")


def a_machine(platform: str) -> Iterator[Machine]:
    machine = Machine(Path(tempfile.mkdtemp(prefix="steno-", dir="/tmp")), platform)
    try:
        yield machine
    finally:
        machine.clear()


def test_a_mac_s_service_is_installed_upgraded_restarted_and_removed(mac: Machine) -> None:
    uid = os.getuid()
    assert "not installed" in mac.steno("service", "status")[1]
    printed = mac.service("install", "--print")
    assert not (mac.home / "logs").exists() and not mac.calls()

    told = mac.service("install")
    first = mac.status()
    plist, target = Path(first["definition"]), f"gui/{uid}/{first['name']}"
    assert first["pid"] == first["daemon_pid"] and first["current"] and first["kind"] == "LaunchAgent"
    assert f"\ninstalled: LaunchAgent {first['name']}, pid {first['pid']}, starts at login" in told, "after the notes"
    assert mac.calls() == [f"enable {target}", f"bootstrap gui/{uid} {plist}"]
    assert plist.read_text() in printed and f"launchctl bootstrap gui/{uid} {plist}" in printed
    assert plist.parent == Path(mac.environment["HOME"]) / "Library/LaunchAgents"
    assert "hf_secret" not in plist.read_text()

    assert mac.service("install").startswith("already installed")
    assert mac.status()["pid"] == first["pid"] and not mac.calls()

    (mac.services / "settling").write_text("3")
    told = mac.service("install", WHISPER_BACKEND="fake_engines:EchoTranscriber", STENO_LANGUAGE="en")
    assert "\nbrought up to date" in told
    second = mac.status()
    assert second["pid"] not in (None, first["pid"]) and not second["current"]
    assert [call.split()[0] for call in mac.calls()] == ["enable", "bootout", *["bootstrap"] * 4]

    mac.service("restart")
    assert mac.status()["pid"] not in (None, second["pid"])
    assert mac.calls() == [f"kill SIGTERM {target}", f"kickstart -k {target}"]
    assert "daemon_stopped" in (mac.home / "logs" / "stenod.log").read_text()

    told = mac.service("uninstall")
    assert str(mac.home / "state") in told
    assert not plist.exists() and (mac.home / "state" / "jobs.sqlite3").exists()
    assert not mac.status()["installed"]
    assert "is not installed" in mac.service("uninstall")
    assert "not installed" in mac.refused("restart")


def test_a_daemon_that_cannot_start_is_quoted(mac: Machine) -> None:
    mac.home.mkdir()
    (mac.home / "state").write_text("no folder")
    told = mac.refused("install")
    assert "ended with exit code 73" in told and "daemon.lock cannot be opened" in told
    assert "launchd.log" in told


def test_wrong_settings_are_said_before_anything_is_installed(mac: Machine) -> None:
    assert "whisper_backend" in mac.refused("install", WHISPER_BACKEND="nonsense")
    assert not mac.calls()


def test_a_daemon_that_was_started_by_hand_must_go_first(mac: Machine) -> None:
    hand = subprocess.Popen(program("supervisor"), env=mac.environment, cwd="/", stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: mac.status()["answers"], 30)
        assert f"`kill {hand.pid}`" in mac.refused("install")
        assert not mac.calls()
        assert "started by hand" in mac.steno("service", "status")[1]
    finally:
        hand.terminate()
        hand.wait(10)


@pytest.mark.parametrize(
    ("failing", "empty_file", "words"),
    [
        (["bootstrap 125"], "no-screen", ("is not logged in", "--system", "Screen Sharing")),
        ([], "no-screen", ("is not logged in", "Bootstrap failed: 5", "SSH session")),
        (["bootstrap 119"], None, ("launchd does not take",)),
        (["enable 1"], None, ("not ours to change",)),
    ],
)
def test_what_launchctl_refuses_is_explained(
    mac: Machine, failing: list[str], empty_file: str | None, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(macos, "SETTLED_SECONDS", 0.5)
    (mac.services / "fail").write_text("".join(f"{line}\n" for line in failing))
    if empty_file:
        (mac.services / empty_file).touch()
    told = mac.refused("install", SSH_CONNECTION="10.0.0.2 50022 10.0.0.3 22")
    for word in words:
        assert word in told


def test_what_keeps_the_daemon_from_starting_is_said_before_the_install_and_in_its_refusal(
    mac: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_here, "START_SECONDS", 0.5)
    home = Path(mac.environment["HOME"]) / "Documents" / "steno"
    home.mkdir(parents=True)
    # What launchd shows of a program that macOS does not let in: it is gone before it could say anything.
    monkeypatch.setattr("launchd.launch_agent.ARGUMENTS", ("-S", "-c", "import sys; sys.exit(78)"))
    told = mac.refused("install", STENO_HOME=str(home))
    note, _, refusal = told.partition("is installed, but its daemon")
    for words in (note, refusal):
        assert f"{home} lies in {home.parent}, which macOS keeps from services" in words
        assert "Cmd-Shift-G" in words
    mac.steno("service", "uninstall", STENO_HOME=str(home))


def test_a_label_that_was_disabled_once_is_enabled_by_an_install(mac: Machine) -> None:
    name = mac.status()["name"]
    (mac.services / "disabled").write_text(f"{name}\n")
    mac.service("install")
    assert mac.status()["pid"]


def test_a_linux_user_s_service_is_installed_upgraded_restarted_and_removed(linux: Machine) -> None:
    linux.service("install")
    first = linux.status()
    unit = first["name"]
    assert first["pid"] == first["daemon_pid"] and first["kind"] == "systemd user unit"
    assert linux.calls() == ["--user daemon-reload", f"--user enable --now {unit}"]
    assert "daemon_started" in (linux.services / "journal").read_text()

    assert linux.service("install").startswith("already installed")
    assert not linux.calls()

    linux.service("install", STENO_PROMPT='100% "quoted" \\ words')
    second = linux.status()
    assert second["pid"] != first["pid"]
    assert linux.calls() == ["--user daemon-reload", f"--user enable {unit}", f"--user restart {unit}"]
    assert psutil.Process(second["pid"]).environ()["STENO_PROMPT"] == '100% "quoted" \\ words'

    linux.service("restart")
    assert linux.status()["pid"] != second["pid"]
    linux.service("uninstall")
    assert not Path(first["definition"]).exists() and not linux.status()["installed"]


def test_without_a_user_manager_nothing_is_written_and_the_way_out_is_said(linux: Machine) -> None:
    (linux.services / "no-bus").touch()
    told = linux.refused("install")
    assert "no user manager" in told and "enable-linger" in told and "XDG_RUNTIME_DIR=/run/user/" in told
    assert not (Path(linux.environment["HOME"]) / ".config").exists()
    assert "systemctl --user enable --now" in linux.service("install", "--print")


def test_exactly_what_the_plist_says_is_enough_to_run_and_to_keep_stderr_empty(mac: Machine) -> None:
    """No fake between: `env -i` with the plist's variables and program; HOME is what launchd adds for an agent."""
    shown = mac.service("install", "--print")
    job = plistlib.loads(shown[shown.index("<?xml") : shown.index("</plist>") + len("</plist>")].encode())
    variables = [f"{name}={value}" for name, value in job["EnvironmentVariables"].items()]
    Path(job["StandardErrorPath"]).parent.mkdir(parents=True)
    with Path(job["StandardErrorPath"]).open("ab") as stderr:
        daemon = subprocess.Popen(
            ["/usr/bin/env", "-i", f"HOME={mac.environment['HOME']}", *variables, *job["ProgramArguments"]],
            cwd=job["WorkingDirectory"], stdout=stderr, stderr=stderr,
        )  # fmt: skip
    log = mac.home / "logs" / "stenod.log"
    try:
        eventually(lambda: mac.status()["daemon_pid"] == daemon.pid, 30)
        code, output = mac.steno("submit", str(shutil.copy(MEMO, mac.home)), "--wait")
        assert code == 0, output
    finally:
        daemon.terminate()
        assert daemon.wait(10) == 0
    by_daemon_and_worker = ('"daemon_stopped"', '"recording_decoded"')
    assert all(event in log.read_text() for event in by_daemon_and_worker)
    assert Path(job["StandardErrorPath"]).read_text() == ""
