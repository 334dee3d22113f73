"""What the decoder's walls are made of, as far as no kernel is needed for it."""

import re

from workers.sandbox.landlock import ruleset
from workers.sandbox.seatbelt import profile


def test_every_version_of_landlock_is_asked_for_all_that_it_can_forbid() -> None:
    assert ruleset(1) == (2**13 - 1).to_bytes(8, "little")
    assert ruleset(2) == (2**14 - 1).to_bytes(8, "little")
    assert ruleset(3) == (2**15 - 1).to_bytes(8, "little")
    assert ruleset(4) == (2**15 - 1).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert ruleset(5) == (2**16 - 1).to_bytes(8, "little") + (3).to_bytes(8, "little")
    newest = (2**16 - 1).to_bytes(8, "little") + (3).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert ruleset(6) == ruleset(7) == ruleset(99) == newest, "of later versions we know nothing"


def parsed(text: str) -> list[object]:
    """The sandbox's language is Scheme: lists and words."""
    stack: list[list[object]] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", text):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    (whole,) = stack
    return whole


def test_the_profile_for_macos_denies_all_but_computing() -> None:
    rules = parsed(profile())
    assert rules[0] == ["version", "1"]
    assert rules[1] == ["deny", "default", ["with", "no-log"]]
    assert [rule[1] for rule in rules[2:] if isinstance(rule, list)] == ["sysctl-read", "signal"]
    assert ["allow", "signal", ["target", "self"]] in rules
    assert not {"file", "network", "process-exec", "process-fork", "mach"} & {
        word.split("*")[0].split("-")[0] for rule in rules[2:] if isinstance(rule, list) for word in rule[1:2]
    }
