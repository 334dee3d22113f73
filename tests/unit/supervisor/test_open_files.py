"""How many files the daemon may have open, whatever the shell that starts it allows.

Runs in: the test process; the limit is set in a process of its own.
"""

import resource
import subprocess
import sys

import pytest

from launchd import launch_agent
from supervisor import __main__ as supervisor_main

RAISED = """
import resource
from supervisor.__main__ import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "raised"), [(256, 8192, 4096), (256, 1000, 1000), (5000, 8192, 5000), (256, 256, 256)]
)
def test_a_shell_s_small_limit_is_raised_as_far_as_the_hard_one_goes(soft: int, hard: int, raised: int) -> None:
    code = RAISED.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(raised), str(hard)]


def test_a_mac_has_no_hard_limit_and_a_refusal_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def refuses(which: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuses)
    supervisor_main.raise_open_files()
    assert asked == [(4096, resource.RLIM_INFINITY)]


def test_the_service_is_given_as_many() -> None:
    assert supervisor_main.OPEN_FILES == launch_agent.OPEN_FILES
