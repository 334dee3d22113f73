"""One line of the daemon's log in words.

Runs in: the user's shell.
"""

import json
from datetime import datetime, tzinfo

from rich.text import Text

HEAD = ("timestamp", "level", "event", "exception")
LEVELS = {
    "debug": "dim",
    "info": "green",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold red",
}
FIRST = ("role", "job", "during_job", "path", "reason", "cause")
"""What a person looks for comes first."""


def facts_of(line: str) -> dict[str, object]:
    """A JSON line's fields; {} for a line that is none."""
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def line_in_words(line: str, zone: tzinfo | None = None) -> Text:
    """`18:40:11 warning  worker died  role=aligner reason="segmentation fault" during_job=7`.

    The time is that of `zone`, the machine's own if None. A line that is no JSON stays as it is; nothing is escaped.
    """
    facts = facts_of(line)
    if "event" not in facts:
        return Text(line)
    level = str(facts.get("level", ""))
    style = LEVELS.get(level, "")
    told = Text.assemble(
        (_time(facts.get("timestamp"), zone), "dim"),
        " ",
        (f"{level:<8}", style),
        (str(facts["event"]).replace("_", " "), "bold" if level in ("info", "debug") else style),
    )
    # A fact that is null tells nothing.
    rest = {name: fact for name, fact in facts.items() if name not in HEAD and fact is not None}
    gap = "  "
    for name in sorted(rest, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        told.append(gap).append(f"{name}=", "dim").append(_short(rest[name]))
        gap = " "
    if "exception" in facts:
        told.append(f"\n{facts['exception']}", "dim")
    return told


def day_of(line: str, zone: tzinfo | None = None) -> str:
    """`Friday, 2 January 2026`; empty for a line without a time."""
    at = _moment(facts_of(line).get("timestamp"))
    return "" if at is None else f"{at.astimezone(zone):%A, %d %B %Y}".replace(", 0", ", ")


def _time(stamp: object, zone: tzinfo | None) -> str:
    at = _moment(stamp)
    return " " * 8 if at is None else f"{at.astimezone(zone):%H:%M:%S}"


def _moment(stamp: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(stamp))
    except ValueError:
        return None


def _short(fact: object) -> str:
    if isinstance(fact, str) and fact.isprintable() and fact and " " not in fact:
        return fact
    return json.dumps(round(fact, 3) if isinstance(fact, float) else fact, ensure_ascii=False)
