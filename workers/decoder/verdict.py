"""The verdict on a silent decoder and on one that exited: pure.

Runs in: worker.
"""

import re
import signal
from dataclasses import dataclass, field
from typing import Literal

PLACE = re.compile(r'^  File "[^"]*?((?:workers/)?[^"/]+/[^"/]+)", line (\d+) in (\S+)', re.MULTILINE)
"""A line of faulthandler's traceback; the first one is where the crash happened."""
NOISE = "\nExtension modules:"
"""After the traceback faulthandler lists every loaded library."""


@dataclass(slots=True)
class DecoderSilence:
    """How long a decoder has been silent, and what it did meanwhile. The caller supplies the clock."""

    disk_seconds: float
    """A disk that delays a read by this much counts as not answering."""
    patience_seconds: float
    """The longest silence allowed in any case."""
    since: float
    """When its last message arrived."""
    on_disk: bool = False
    """True: it has started with the recording, so that it waits only for the recording's disk."""
    looked_at: float = field(init=False)
    idle_seconds: float = 0.0
    """The part of the silence without processor time for it."""

    def __post_init__(self) -> None:
        self.looked_at = self.since

    def heard(self, now: float) -> None:
        """A message arrived: every completed read counts as progress, however slow the disk."""
        self.since = self.looked_at = now
        self.idle_seconds = 0.0

    def verdict(self, now: float, is_computing: bool) -> Literal["disk", "stuck"] | None:
        """After another look: one that computes is not waiting for anything."""
        if not is_computing:
            self.idle_seconds += now - self.looked_at
        self.looked_at = now
        silent_seconds = now - self.since
        over = silent_seconds >= self.patience_seconds
        mostly_idle = over and self.idle_seconds * 2 > silent_seconds
        if mostly_idle or self.idle_seconds >= self.disk_seconds:
            return "disk"
        return "stuck" if over else None


@dataclass(frozen=True, slots=True)
class DecoderDeath:
    """How one decoder ended before it had answered."""

    kind: str
    """`SIGSEGV` and its kin, `timeout`, `memory`, `exit`, `nonsense`."""
    words: str
    """For people: what happened, and where."""
    traceback: str = ""


class DecoderDied(Exception):
    """One decoder ended without an answer."""

    def __init__(self, death: DecoderDeath, *, had_begun: bool = True) -> None:
        super().__init__(death.words)
        self.death = death
        self.had_begun = had_begun
        """With the recording: before that, its end says nothing about it."""


def death_of(status: int | None, last_words: str, lied: str | None = None) -> DecoderDeath:
    """`status` as subprocess gives it; `lied`: what it said was no message, and it was ended for that."""
    last_words = last_words.partition(NOISE)[0]
    where = f", in {place[1]}:{place[2]} ({place[3]})" if (place := PLACE.search(last_words)) else ""
    if lied is not None:
        return DecoderDeath("nonsense", f"it said what is no message ({lied}){where}", last_words)
    if status is None:
        return DecoderDeath("timeout", "it closed its connection and did not exit", last_words)
    if status >= 0:
        return DecoderDeath("exit", f"it left with code {status} and without an answer{where}", last_words)
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    limit = {"SIGXCPU": ": it took more processor time than a recording may", "SIGXFSZ": ": it wrote too much"}
    return DecoderDeath(name, f"it was ended by {name}{limit.get(name, '')}{where}", last_words)
