"""What launchctl says, understood: pure. Its output is no interface, so whatever is missing is simply not known.

Runs in: the installer.
"""

import re
from dataclasses import dataclass

EIO, NOW_IN_PROGRESS, ALREADY_IN_PROGRESS = 5, 36, 37
NO_SUCH_PROCESS, NO_DOMAIN, NO_SERVICE, DISABLED, WRONG_DOMAIN = 3, 112, 113, 119, 125
NOT_PERMITTED = 1
LAUNCHD_LOG = "`log show --last 5m --predicate 'process == \"launchd\"'` tells launchd's reason"


@dataclass(frozen=True, slots=True)
class DomainState:
    """What tells one meaning of an exit code from another."""

    domain_is_there: bool
    """Whether launchd has the domain `gui/<uid>`: that account is logged in at the screen."""
    is_disabled: bool
    is_ssh: bool


def printed_facts(output: str) -> dict[str, str]:
    """`launchctl print`: the service's own `name = value` lines; those of its inner blocks are about other things."""
    facts: dict[str, str] = {}
    depth = 0
    for line in map(str.strip, output.splitlines()):
        if line.endswith("{"):
            depth += 1
        elif line == "}":
            depth -= 1
        elif depth == 1 and " = " in line:
            name, _, value = line.partition(" = ")
            facts.setdefault(name, value)
    return facts


def number_in(text: str | None) -> int | None:
    """`78: EX_CONFIG` → 78; `(never exited)` → None."""
    found = re.match(r"-?\d+", text or "")
    return int(found[0]) if found else None


def is_disabled(output: str, label: str) -> bool:
    """`launchctl print-disabled`: `"label" => disabled`, or `=> true` before macOS 13."""
    return re.search(rf'"{re.escape(label)}"\s*=>\s*(disabled|true)\b', output) is not None


def explained(code: int, complaint: str, target: str, seen: DomainState) -> tuple[str, str]:
    """What went wrong with `target` (`gui/501/dev.stenod.stenod`), and what to do. `complaint` is launchctl's own."""
    said = f"launchd does not take {target} (launchctl: {complaint.splitlines()[0] if complaint else f'exit {code}'})"
    if code in (DISABLED, EIO) and seen.is_disabled:
        return (
            f"{said}: it was disabled, and that outlives every install",
            f"`launchctl enable {target}`, then install again; or switch it on in System Settings > General > Login "
            "Items & Extensions",
        )
    if target.startswith("gui/") and (
        code in (NO_DOMAIN, WRONG_DOMAIN) or (code == EIO and not seen.domain_is_there)
    ):
        ssh = ", and an SSH session has no domain of its own" if seen.is_ssh else ""
        return (
            f"{said}: this user is not logged in at this Mac's screen{ssh}",
            "log in there once (Screen Sharing does, or automatic login in System Settings > Users & Groups) and "
            "install again; or install with --system, which needs no login",
        )
    if code == EIO:
        return (
            f"{said}: the one that ran before may not be gone yet, or launchd does not like the file",
            f"wait ten seconds and install again; `plutil -lint` checks the file, and {LAUNCHD_LOG}",
        )
    if code == NOT_PERMITTED:
        return f"{said}: it is not ours to change", "the file must belong to its user, or to root with --system"
    return said, LAUNCHD_LOG
