"""The property list that tells launchd how to keep the daemon: pure.

Runs in: the installer.

plistlib writes no comments, and comments are half of what this file is for. So a template has the comments, and
plistlib writes each key with its value, escaped as it knows how, into the template's places.
"""

import plistlib
from typing import Any

from launchd.installation import ARGUMENTS, BETWEEN_STARTS_SECONDS, STOP_SECONDS, Installation
from launchd.template import filled, read_template

OPEN_FILES = 4096


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
        "ThrottleInterval": BETWEEN_STARTS_SECONDS,
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
