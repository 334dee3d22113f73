"""systemd: a unit of its owner's user manager, or of the machine, with systemd's own rules of quoting.

Runs in: the installer.

stderr goes to the journal, which turns itself over: so the daemon is not quiet here, and `journalctl` tells all.
"""

from collections.abc import Iterable
from pathlib import Path

from launchd.installation import ARGUMENTS, REFUSED_START_SECONDS, STOP_SECONDS, Installation
from launchd.plan import SHORT_SECONDS, InstallStep, MakeFolder, RemoveFile, Run, WriteFile
from launchd.refusal import ServiceRefused
from launchd.run_command import Answer, run
from launchd.state import ServiceState, read_definition
from launchd.template import filled, read_template

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "%": "%%"})
UNITS = Path(".config/systemd/user")
MACHINE_UNITS = Path("/etc/systemd/system")
LINGERING = Path("/var/lib/systemd/linger")
FACTS = ("ActiveState", "SubState", "MainPID", "ExecMainCode", "ExecMainStatus", "Result", "UnitFileState")
UNIT_NOT_LOADED = 5
ENDED_BY_SIGNAL = ("2", "3")
"""ExecMainCode: CLD_KILLED and CLD_DUMPED of waitid(2)."""
RUNNING_STATES = ("active", "activating", "reloading", "deactivating")
CRASH_PAUSE_MILLISECONDS = 200
"""From a crash to the next start; the daemon then needs about a second to answer."""
AFTER_A_REFUSAL = f'test "$EXIT_CODE" != exited || test "$SERVICE_RESULT" = success || sleep {REFUSED_START_SECONDS}'
"""A shell command that systemd waits for before a restart. systemd.exec(5) explains its variables."""
START_SECONDS = STOP_SECONDS + 30.0
"""A restart waits for the old daemon's end and for the new one's start."""


def unit_file(installation: Installation) -> str:
    """The whole file, commented."""
    is_system = installation.is_system
    environment = [f"{name}={value}" for name, value in installation.environment.items()]
    return filled(
        read_template("stenod.service"),
        {
            "ExecStart": f"ExecStart={command_line((str(installation.interpreter), *ARGUMENTS))}",
            "User": f"User={installation.owner.name}" if is_system else None,
            # The rest of the line is the path, spaces and quotes included.
            "WorkingDirectory": f"WorkingDirectory={str(installation.owner.home).replace('%', '%%')}",
            "Environment": "\n".join(f"Environment={quoted(one)}" for one in environment),
            "RestartSec": f"RestartSec={CRASH_PAUSE_MILLISECONDS}ms",
            "ExecStopPost": f"ExecStopPost=-{command_line(('/bin/sh', '-c', AFTER_A_REFUSAL))}",
            "TimeoutStopSec": f"TimeoutStopSec={STOP_SECONDS}",
            "ProtectSystem": "ProtectSystem=full" if is_system else None,
            "WantedBy": f"WantedBy={'multi-user.target' if is_system else 'default.target'}",
        },
    )


def command_line(words: Iterable[str]) -> str:
    """ExecStart's value. `$` would be a variable's name, and in the program's own path cannot be doubled; a colon in
    front (systemd 244) makes it a letter like others."""
    line = " ".join(map(quoted, words))
    return f":{line}" if "$" in line else line


def quoted(word: str) -> str:
    """One word, inside which systemd sees neither spaces, quotes, escapes nor `%` specifiers (systemd.syntax(7))."""
    return f'"{word.translate(ESCAPES)}"'


class Systemd:
    """One installation, as systemd sees it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.name = installation.unit
        self.kind = "systemd unit" if installation.is_system else "systemd user unit"
        config = installation.environment.get("XDG_CONFIG_HOME")
        own_units = Path(config) / "systemd/user" if config else installation.owner.home / UNITS
        self.definition_file = (MACHINE_UNITS if installation.is_system else own_units) / self.name
        scope = () if installation.is_system else ("--user",)
        self._systemctl = ("systemctl", *scope)
        self.stderr_place = " ".join(("journalctl", *scope, "-u", self.name))

    @property
    def definition(self) -> str:
        return unit_file(self.installation)

    def look(self) -> ServiceState:
        answer = run((*self._systemctl, "show", self.name, f"--property={','.join(FACTS)}"), SHORT_SECONDS)
        if answer.exit_code != 0:
            raise ServiceRefused(*explained(answer.complaint, self.installation))
        facts = dict(line.split("=", 1) for line in answer.output.splitlines() if "=" in line)
        active, status = facts.get("ActiveState", "inactive"), facts.get("ExecMainStatus", "")
        by_signal = facts.get("ExecMainCode") in ENDED_BY_SIGNAL
        has_ended = facts.get("ExecMainCode", "0") != "0"
        return ServiceState(
            definition=read_definition(self.definition_file),
            is_loaded=facts.get("UnitFileState") == "enabled" and active in RUNNING_STATES,
            words=f"{active} ({facts.get('SubState', 'dead')})",
            pid=int(facts.get("MainPID", "0")) or None,
            last_exit=(f"signal {status}" if by_signal else status) if has_ended else None,
            last_exit_code=int(status) if has_ended and not by_signal and status.isdigit() else None,
        )

    def install(self, now: ServiceState) -> tuple[InstallStep, ...]:
        definition = self.definition
        if now.definition == definition and now.is_loaded:
            return ()
        is_active = now.words.startswith(RUNNING_STATES)
        return (
            *(() if self.installation.is_system else (MakeFolder(self.definition_file.parent),)),
            *(() if now.definition == definition else (WriteFile(self.definition_file, definition),)),
            Run((*self._systemctl, "daemon-reload")),
            *(
                (Run((*self._systemctl, "enable", self.name)), *self.restart(now))
                if is_active
                else (Run((*self._systemctl, "enable", "--now", self.name), START_SECONDS),)
            ),
        )

    def uninstall(self, now: ServiceState) -> tuple[InstallStep, ...]:
        if now.definition is None:
            return ()
        return (
            Run((*self._systemctl, "disable", "--now", self.name), START_SECONDS),
            RemoveFile(self.definition_file),
            Run((*self._systemctl, "daemon-reload")),
            # A unit that failed would be remembered as `not-found failed`.
            Run((*self._systemctl, "reset-failed", self.name), fine=frozenset({1, UNIT_NOT_LOADED})),
        )

    def restart(self, now: ServiceState) -> tuple[InstallStep, ...]:
        return (Run((*self._systemctl, "restart", self.name), START_SECONDS),)

    def explain(self, failed: Run, answer: Answer) -> tuple[str, str]:
        return explained(answer.complaint, self.installation)

    @property
    def ends_at_logout(self) -> bool:
        """Whether the user manager, and the daemon with it, leaves with its owner's last session."""
        return not self.installation.is_system and not (LINGERING / self.installation.owner.name).exists()


def explained(complaint: str, installation: Installation) -> tuple[str, str]:
    """What systemctl's complaint means, and what to do: pure."""
    said = f"systemd does not take {installation.unit} (systemctl: {complaint.splitlines()[0] if complaint else '?'})"
    if "not been booted with systemd" in complaint or "Host is down" in complaint:
        return f"{said}: this machine or container is run by something else", "have that run `steno serve`"
    if "onnect to bus" in complaint:
        uid = installation.owner.uid
        return (
            f"{said}: this session has no user manager, as after su or sudo, or in a container",
            f"log in as {installation.owner.name} by SSH or at the screen; or `sudo loginctl enable-linger "
            f"{installation.owner.name}` and `export XDG_RUNTIME_DIR=/run/user/{uid}`; or install with --system",
        )
    if "ccess denied" in complaint or "authentication required" in complaint:
        return f"{said}: only root may", "again with sudo"
    scope = "" if installation.is_system else " --user"
    unit = installation.unit
    return said, f"`systemctl{scope} status {unit}` and `journalctl{scope} -u {unit}` say why"
