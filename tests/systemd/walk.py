"""What a user does with the service, step by step; each step ends with what must then be true.

Runs in: the systemd test.
"""

import json
import re
import shutil
import signal
import time
from pathlib import Path

import psutil

from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon
from ipc.status_views import StatusView
from launchd.installation import ARGUMENTS
from systemd.container import Container, StepFailed
from systemd.debian import FIRST, ROOT, SECOND, USER

SETTINGS = {"STENO_ALLOW_DOWNLOAD": "false"}
"""No hub can be reached from the machine; `steno service install` writes this into the unit."""
RECORDINGS = ROOT / "client/recordings"
HOME = f"/home/{USER}"
MEMOS = f"{HOME}/Memos"
CONFIG = f"{HOME}/.config/stenod/config.toml"
STARTER_MODELS = 'model = "starter"\nalignment_model = "starter"\n'
"""Starter models belong to a service only if its settings name them."""
UNIT = f"{HOME}/.config/systemd/user/stenod.service"
BACK_SECONDS = 2.0
"""From `kill -9` to an answering daemon."""
START_SECONDS = 60.0
WORKERS_GONE_SECONDS = 2.0
TRANSCRIPT_SECONDS = 180.0
LOGGED_OUT_SECONDS = 40.0
"""logind gives a user manager ten seconds after the last session, and the daemon may need nine for its end."""
WATCHDOG_SECONDS = 8
REFUSED_SECONDS = 25.0
MOST_REFUSED_STARTS = 3


def check(held: object, what: str) -> None:
    """Raises StepFailed unless it is so."""
    if not held:
        raise StepFailed(what)


class Walk:
    """One user's service in one machine, from its installation to its end."""

    def __init__(self, machine: Container) -> None:
        self._machine = machine
        self.runtime = "/run/user/1000/stenod"

    def status(self) -> StatusView | None:
        """What the daemon answers, asked from outside the machine; None: none listens."""
        try:
            return DaemonClient(self._machine.path(f"{self.runtime}/stenod.sock"), 5.0).status()
        except NoDaemon:
            return None

    def main_pid(self) -> int:
        """The daemon that systemd started, by its number within the machine."""
        shown = self._user("systemctl --user show stenod --property=MainPID --value")
        return int(shown.strip() or 0)

    def daemon(self) -> psutil.Process:
        """The same process by its number out here."""
        found = [one for one in self._machine.daemons() if one.cmdline()[1:] == [*ARGUMENTS]]
        check(len(found) == 1, f"one daemon runs, not {len(found)}")
        return found[0]

    def back(self, old: int, seconds: float, what: str) -> StatusView:
        """The first answer of a daemon whose number is not `old`."""

        def another() -> StatusView | None:
            status = self.status()
            return status if status is not None and status.daemon.pid != old else None

        return self._machine.until(seconds, what, another)

    def _user(self, command: str) -> str:
        """As the user, beside what it has logged in: its user manager's bus is all that is needed."""
        bus = "XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus LC_ALL=C.UTF-8"
        return self._machine.root(
            f"cd {HOME} && setpriv --reuid={USER} --regid={USER} --init-groups env {bus} {command}"
        ).output

    def _steno(self, words: str, installation: str = FIRST) -> str:
        return self._machine.steno(words, installation, **SETTINGS)

    def _drop(self, name: str, source: str = "memo.flac", tail: bytes = b"") -> None:
        folder = self._machine.path(MEMOS)
        hidden = folder / f".{name}"
        hidden.write_bytes((RECORDINGS / source).read_bytes() + tail)
        hidden.chmod(0o644)
        hidden.rename(folder / name)

    def _transcript(self, recording: str) -> str:
        written = self._machine.path(f"{MEMOS}/{recording}").with_suffix(".srt")
        self._machine.until(TRANSCRIPT_SECONDS, f"the transcript of {recording}", lambda: written.exists() or None)
        return written.read_text()

    # --- steps -----------------------------------------------------------------------------------------------

    def install_the_service_as_an_ordinary_user(self) -> None:
        self._machine.log_in(f"mkdir -p {HOME}/.config/stenod && touch {CONFIG}")
        self._machine.path(CONFIG).write_text(STARTER_MODELS)
        said = self._steno("service install")
        check("installed: systemd user unit stenod.service" in said, "the command says what it installed")
        check("loginctl enable-linger anna" in said, "it says that the daemon ends at logout, and what keeps it")

    def the_daemon_ends_with_the_last_session(self) -> None:
        self._machine.until(LOGGED_OUT_SECONDS, "every process of ours is gone", lambda: not self._machine.daemons())

    def with_linger_it_runs_without_a_session(self) -> None:
        check(self._machine.log_in("sudo loginctl enable-linger anna").exit_code == 0, "linger is enabled")
        self.back(0, START_SECONDS, "the daemon answers, with nobody logged in")
        said = self._steno("service status")
        check(
            "stenod.service: active (running)" in said and "daemon: answers" in said, "the status says that it runs"
        )

    def a_recording_in_a_watched_folder_is_transcribed(self) -> None:
        self._machine.log_in(f"mkdir -p {MEMOS}")
        self._steno(f"watch add {MEMOS}")
        self._drop("memo.flac")
        spoken = set(re.findall(r"[a-z]+", (RECORDINGS / "memo.txt").read_text().lower()))
        heard = set(re.findall(r"[a-z]+", self._transcript("memo.flac").lower()))
        check(len(spoken & heard) > 0.8 * len(spoken), f"its words were recognised, not only {spoken & heard}")

    def a_killed_daemon_is_back_within_two_seconds_and_finishes_its_job(self) -> None:
        self._drop("talk.flac", "talk.flac")

        def at_work() -> StatusView | None:
            status = self.status()
            return status if status is not None and any(worker.state == "busy" for worker in status.workers) else None

        self._machine.until(START_SECONDS, "a worker is busy", at_work)
        daemon, old = self.daemon(), self.main_pid()
        workers = daemon.children(recursive=True)
        check(workers, "it has workers")
        killed = time.monotonic()
        daemon.kill()
        self.back(old, START_SECONDS, "the daemon is back")
        away = time.monotonic() - killed
        print(f"    back after {away:.2f} s")
        _, alive = psutil.wait_procs(workers, timeout=max(0.0, WORKERS_GONE_SECONDS - away))
        check(not alive, f"the old workers are gone, not {alive}")
        check(away <= BACK_SECONDS, f"it is back within {BACK_SECONDS} s, not {away:.2f}")
        check("remember to label your jars" in " ".join(self._transcript("talk.flac").split()), "to its last words")

    def a_hangup_during_the_start_does_not_end_the_service(self) -> None:
        old = self.main_pid()
        self.daemon().kill()
        new = self._another_process(old)
        self.daemon().send_signal(signal.SIGHUP)
        # Python itself may not have begun yet, and nothing but the kernel then decides: systemd starts another.
        status = self.back(old, START_SECONDS, "the daemon answers")
        print(
            f"    a hangup in its first milliseconds: {'survived' if status.daemon.pid == new else 'started again'}"
        )
        old = status.daemon.pid
        self.daemon().kill()
        new = self._another_process(old)
        self._machine.until(START_SECONDS, "its own handling of the signal", self._keeps_hangups)
        check(self.status() is None, "it has not started yet")
        self.daemon().send_signal(signal.SIGHUP)
        check(self.back(old, START_SECONDS, "the daemon answers").daemon.pid == new, "the same process answers")

    def _another_process(self, old: int) -> int:
        return self._machine.until(
            START_SECONDS, "another process", lambda: pid if (pid := self.main_pid()) not in (0, old) else None
        )

    def _keeps_hangups(self) -> bool:
        """Whether the daemon's process catches, ignores or blocks SIGHUP by now: proc(5)."""
        lines = Path(f"/proc/{self.daemon().pid}/status").read_text().splitlines()
        masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]
        return any(mask & 1 << signal.SIGHUP - 1 for mask in masks)

    def a_daemon_that_hangs_is_killed_and_started_again(self) -> None:
        drop_in = "[Service]\nWatchdogSec=8\nTimeoutAbortSec=2\n"
        folder = self._machine.path(f"{UNIT}.d")
        folder.mkdir()
        (folder / "test.conf").write_text(drop_in)
        self._user("systemctl --user daemon-reload")
        old = self.main_pid()
        self._steno("service restart")
        self.back(old, START_SECONDS, "the daemon answers")
        steady = self.main_pid()
        time.sleep(2 * WATCHDOG_SECONDS)  # twice the time in which systemd would have killed a silent one
        check(self.main_pid() == steady, "a daemon that lives is left alone")
        self.daemon().send_signal(signal.SIGSTOP)
        self.back(steady, START_SECONDS, "another daemon answers")
        shutil.rmtree(folder)
        self._user("systemctl --user daemon-reload")
        check("Watchdog timeout" in self._machine.root("journalctl --no-pager _UID=1000").output, "systemd says why")

    def one_that_cannot_start_is_tried_at_a_walking_pace_and_recovers(self) -> None:
        old = self.main_pid()
        settings = self._machine.path(CONFIG)
        settings.parent.mkdir(parents=True, exist_ok=True)
        before = settings.read_text() if settings.exists() else ""
        settings.write_text("watching = 5\n")
        shutil.chown(settings, 1000, 1000)
        self.daemon().kill()
        time.sleep(REFUSED_SECONDS)
        status = json.loads(
            self._machine.log_in(f"{FIRST}/.venv/bin/steno service status --json").output.splitlines()[-1]
        )
        starts = int(self._user("systemctl --user show stenod --property=NRestarts --value"))
        check(self.status() is None, "no daemon answers")
        check(status["last_exit"] == "78", f"its last exit was EX_CONFIG, not {status['last_exit']}")
        refused = self._machine.root("journalctl --no-pager _UID=1000 -o cat").output.count("stenod: ")
        print(f"    refused {refused} times in {REFUSED_SECONDS:.0f} s; restarts in all: {starts}")
        check(2 <= refused <= MOST_REFUSED_STARTS, f"it was tried every ten seconds, not {refused} times")
        settings.write_text(before)
        self.back(old, START_SECONDS, "with the setting fixed it comes back without a command")

    def an_upgrade_replaces_the_running_daemon(self) -> None:
        old = self.main_pid()
        # Other bytes than memo.flac's: what was transcribed once is not transcribed again under another name.
        self._drop("during.flac", tail=bytes(16))
        said = self._steno("service install", SECOND)
        check("brought up to date" in said, "the command says that it changed the service")
        check(self.daemon().cmdline()[0].startswith(SECOND), "the new installation's daemon runs")
        check(self.main_pid() != old, "it is another process")
        self._transcript("during.flac")
        check("already installed" in self._steno("service install", SECOND), "a second time changes nothing")

    def doctor_and_logs_know_the_service(self) -> None:
        doctor = self._machine.log_in(f"{SECOND}/.venv/bin/steno doctor 2>&1", **SETTINGS).output
        print(*(f"    {line}" for line in doctor.splitlines()), sep="\n")
        check("kept running by the service stenod.service" in " ".join(doctor.split()), "doctor names the service")
        check("done" in self._steno("logs", SECOND), "the log tells of finished jobs")

    def uninstalling_leaves_the_transcripts_and_nothing_else_running(self) -> None:
        self._steno("service uninstall", SECOND)
        check(not self._machine.daemons(), "no process of ours is left")
        self._nothing_of_ours_in("systemctl --user")
        check(not self._machine.path(UNIT).exists(), "the unit file is gone")
        links = self._machine.root(f"find {HOME}/.config/systemd /etc/systemd/system -name '*stenod*'").output
        check(links == "", f"no link to it is left: {links}")
        check(self._machine.path(f"{MEMOS}/memo.srt").exists(), "the transcripts stay")

    def a_service_of_the_machine_runs_as_its_user(self) -> None:
        refused = self._machine.log_in(f"{FIRST}/.venv/bin/steno service install --system 2>&1", **SETTINGS)
        print(*(f"    {line}" for line in refused.output.splitlines()), sep="\n")
        check(refused.exit_code != 0 and "sudo" in refused.output, "without root it says the command to use")
        variables = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
        command = f"sudo env {variables} {FIRST}/.venv/bin/steno service install --system 2>&1"
        installed = self._machine.log_in(command)
        print(*(f"    {line}" for line in installed.output.splitlines()), sep="\n")
        check(installed.exit_code == 0, "with sudo it is installed")
        check(self.daemon().uids().real == 1000, "it runs as the user who called sudo, not as root")
        self.runtime = f"{HOME}/.local/state/stenod/run"
        old = self.back(0, START_SECONDS, "it answers").daemon.pid
        killed = time.monotonic()
        self.daemon().kill()
        self.back(old, START_SECONDS, "it is back")
        print(f"    back after {time.monotonic() - killed:.2f} s")
        check(time.monotonic() - killed <= BACK_SECONDS, "it is back within two seconds")

    def the_machines_service_is_removed_as_well(self) -> None:
        removed = self._machine.log_in(f"sudo {FIRST}/.venv/bin/steno service uninstall --system 2>&1")
        print(*(f"    {line}" for line in removed.output.splitlines()), sep="\n")
        check(removed.exit_code == 0, "it is removed")
        check(not self._machine.daemons(), "no process of ours is left")
        self._nothing_of_ours_in("systemctl")
        check(self._machine.root("find /etc/systemd -name '*stenod*'").output == "", "no file or link is left")

    def _nothing_of_ours_in(self, systemctl: str) -> None:
        command = f"{systemctl} --no-legend --all list-units 'stenod*'"
        known = self._user(command) if "--user" in systemctl else self._machine.root(command).output
        check(known.strip() == "", f"systemd has forgotten the unit, not: {known}")


STEPS = (
    Walk.install_the_service_as_an_ordinary_user,
    Walk.the_daemon_ends_with_the_last_session,
    Walk.with_linger_it_runs_without_a_session,
    Walk.a_recording_in_a_watched_folder_is_transcribed,
    Walk.a_killed_daemon_is_back_within_two_seconds_and_finishes_its_job,
    Walk.a_hangup_during_the_start_does_not_end_the_service,
    Walk.a_daemon_that_hangs_is_killed_and_started_again,
    Walk.one_that_cannot_start_is_tried_at_a_walking_pace_and_recovers,
    Walk.an_upgrade_replaces_the_running_daemon,
    Walk.doctor_and_logs_know_the_service,
    Walk.uninstalling_leaves_the_transcripts_and_nothing_else_running,
    Walk.a_service_of_the_machine_runs_as_its_user,
    Walk.the_machines_service_is_removed_as_well,
)
"""In this order: each begins where the one before it ended."""
