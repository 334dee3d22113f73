"""What the virtual day found, and what the supervisor had at the end of each of its hours.

Runs in: the virtual day's process.
"""

from dataclasses import dataclass, field

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Hour:
    """What the supervisor has at the end of an hour, and what it did in it."""

    jobs_done: int
    wake_ups: int
    turns: int
    tasks: int
    threads: int
    timers: int
    blocks: int


@dataclass(slots=True)
class Found:
    """What is told to the row."""

    jobs: int = 0
    faults: int = 0
    lost: int = 0
    changed: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def expect(self, truth: object, otherwise: str) -> None:
        if not truth:
            self.wrong.append(otherwise)
