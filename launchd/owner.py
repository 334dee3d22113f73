"""Whose service it is: pure. A service for the whole machine is installed by root and runs as a person.

Runs in: the installer.
"""

from dataclasses import dataclass
from pathlib import Path

from launchd.refusal import ServiceRefused


@dataclass(frozen=True, slots=True)
class Owner:
    """An account, as the user database has it."""

    name: str
    uid: int
    gid: int
    home: Path


def owner_name(own_name: str, *, is_root: bool, sudo_user: str | None, system: bool, asked: str | None) -> str:
    """The account the daemon is to run as; `own_name` is this process's. Raises ServiceRefused."""
    if not system:
        if asked is not None:
            raise ServiceRefused("--user says whom a --system service runs as", "leave it out, or add --system")
        if is_root and sudo_user is not None:
            raise ServiceRefused(
                "with sudo this would become root's own service, not yours",
                "leave out sudo; or add --system for a service that starts before a user logs in",
            )
        return own_name
    if asked is not None:
        return asked
    if sudo_user is not None:
        return sudo_user
    if is_root:
        raise ServiceRefused(
            "whose recordings is it to transcribe? The daemon reads files of all origins and should not be root",
            "say whom it runs as: --user NAME",
        )
    return own_name
