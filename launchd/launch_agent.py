"""launchd: a LaunchAgent in its owner's session, or a LaunchDaemon of the machine, and its property list.

Runs in: the installer. Written from launchd.plist(5), launchctl(1) and other people's reports; never run on a Mac.

`launchctl bootout` returns before the service is gone, and for seconds after that `bootstrap` fails with 5: we wait
for the end, and ask again. A label that was disabled once refuses every bootstrap: so it is enabled first.

plistlib writes no comments, and comments are half of what the list is for. So a template has the comments, and
plistlib writes each key with its value, escaped as it knows how, into the template's places.
"""

import os
import plistlib
from pathlib import Path
from typing import Any

from launchd.installation import ARGUMENTS, REFUSED_START_SECONDS, STOP_SECONDS, Installation
from launchd.launchctl_output import (
    ALREADY_IN_PROGRESS,
    EIO,
    NO_SERVICE,
    NO_SUCH_PROCESS,
    NOW_IN_PROGRESS,
    DomainState,
    explained,
    is_disabled,
    number_in,
    printed_facts,
)
from launchd.plan import SHORT_SECONDS, Await, InstallStep, MakeFolder, RemoveFile, Run, WriteFile
from launchd.run_command import Answer, run
from launchd.state import ServiceState, read_definition
from launchd.template import filled, read_template

OPEN_FILES = 4096
AGENTS = Path("Library/LaunchAgents")
DAEMONS = Path("/Library/LaunchDaemons")
GONE_SECONDS = STOP_SECONDS + 10.0
SETTLE_SECONDS = 15.0
"""Five were measured between a bootout and a bootstrap that is taken (headroomlabs-ai/headroom#1289)."""
SETTLED_SECONDS = 5.0
"""The same where the bootout was an earlier command's, if there was one at all."""


def property_list(installation: Installation) -> str:
    """The whole file, commented."""
    values = launchd_keys(installation)
    return filled(
        read_template("stenod.plist"),
        {key: None if value is None else _written(key, value) for key, value in values.items()},
    )


def launchd_keys(installation: Installation) -> dict[str, Any]:
    """Key → value, None for one that is left out. launchd.plist(5)."""
    return {
        "Label": installation.label,
        "ProgramArguments": [str(installation.interpreter), *ARGUMENTS, "--quiet"],
        "UserName": installation.owner.name if installation.is_system else None,
        "WorkingDirectory": str(installation.owner.home),
        "EnvironmentVariables": dict(installation.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": REFUSED_START_SECONDS,
        "ExitTimeOut": STOP_SECONDS,
        "ProcessType": "Interactive",
        "LimitLoadToSessionType": None if installation.is_system else "Aqua",
        "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
        "StandardOutPath": str(installation.stderr_file),
        "StandardErrorPath": str(installation.stderr_file),
    }


def _written(key: str, value: object) -> str:
    """The key and its value as lines of XML, one tab in."""
    whole = plistlib.dumps({key: value}, sort_keys=False).decode()
    return whole.split("<dict>\n", 1)[1].rsplit("\n</dict>", 1)[0]


class Launchd:
    """One installation, as launchd sees it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.name = installation.label
        self.kind = "LaunchDaemon" if installation.is_system else "LaunchAgent"
        self.definition_file = (
            DAEMONS if installation.is_system else installation.owner.home / AGENTS
        ) / f"{self.name}.plist"
        self.domain = "system" if installation.is_system else f"gui/{installation.owner.uid}"
        self.target = f"{self.domain}/{self.name}"
        self.stderr_place = str(installation.stderr_file)

    @property
    def definition(self) -> str:
        return property_list(self.installation)

    def look(self) -> ServiceState:
        answer = run(("launchctl", "print", self.target), SHORT_SECONDS)
        facts = printed_facts(answer.output)
        is_loaded = answer.exit_code == 0
        ended = facts.get("last exit code", "")
        signal = facts.get("last terminating signal")
        code = number_in(ended)
        return ServiceState(
            definition=read_definition(self.definition_file),
            is_loaded=is_loaded,
            words=facts.get("state", "loaded") if is_loaded else "not loaded",
            pid=number_in(facts.get("pid")),
            last_exit=signal or (ended if code is not None else None),
            last_exit_code=code,
        )

    def install(self, now: ServiceState) -> tuple[InstallStep, ...]:
        definition = self.definition
        enable = Run(("launchctl", "enable", self.target))
        if now.definition == definition and now.is_loaded:
            return () if now.pid is not None else (enable, Run(("launchctl", "kickstart", self.target)))
        installation = self.installation
        owner = installation.owner if installation.is_system else None
        return (
            # launchd makes the file for stderr, and not the folder.
            MakeFolder(installation.logs, owner),
            *(() if installation.is_system else (MakeFolder(self.definition_file.parent),)),
            *(() if now.definition == definition else (WriteFile(self.definition_file, definition),)),
            enable,
            *self._unload(now),
            self._load(SETTLE_SECONDS if now.is_loaded else SETTLED_SECONDS),
        )

    def uninstall(self, now: ServiceState) -> tuple[InstallStep, ...]:
        return (*self._unload(now), *(() if now.definition is None else (RemoveFile(self.definition_file),)))

    def restart(self, now: ServiceState) -> tuple[InstallStep, ...]:
        if not now.is_loaded:
            return (Run(("launchctl", "enable", self.target)), self._load(SETTLED_SECONDS))
        # `kickstart -k` alone may kill without asking; asked first, the daemon puts its jobs back.
        politely: tuple[InstallStep, ...] = (
            Run(("launchctl", "kill", "SIGTERM", self.target), fine=frozenset({NO_SUCH_PROCESS})),
            Await("ended", GONE_SECONDS),
        )
        return (*(politely if now.pid is not None else ()), Run(("launchctl", "kickstart", "-k", self.target)))

    def _unload(self, now: ServiceState) -> tuple[InstallStep, ...]:
        if not now.is_loaded:
            return ()
        gone = frozenset({NO_SUCH_PROCESS, NO_SERVICE, NOW_IN_PROGRESS, ALREADY_IN_PROGRESS})
        return (Run(("launchctl", "bootout", self.target), GONE_SECONDS, fine=gone), Await("forgotten", GONE_SECONDS))

    def _load(self, again_seconds: float) -> Run:
        words = ("launchctl", "bootstrap", self.domain, str(self.definition_file))
        return Run(words, again_on=frozenset({EIO, ALREADY_IN_PROGRESS}), again_seconds=again_seconds)

    def explain(self, failed: Run, answer: Answer) -> tuple[str, str]:
        disabled = run(("launchctl", "print-disabled", self.domain), SHORT_SECONDS)
        seen = DomainState(
            domain_is_there=run(("launchctl", "print", self.domain), SHORT_SECONDS).exit_code == 0,
            is_disabled=is_disabled(disabled.output, self.name),
            is_ssh="SSH_CONNECTION" in os.environ,
        )
        message, hint = explained(answer.exit_code, answer.complaint, self.target, seen)
        if "bootstrap" in failed.words:
            hint += f". {self.definition_file} stays: macOS tries it again at the next login or start"
        return message, hint
