"""Signals at any moment of the daemon's life, from its first line to its last: what they mean, and nothing else."""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_under_test import FAKES, DaemonUnderTest
from eventually import eventually
from no_leftovers import lives

FIRST_LINE_SECONDS = 0.3
"""A Python needs a moment before it comes to our first line, on a busy machine a long one."""
HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGVTALRM)


@pytest.fixture
def daemon() -> Iterator[DaemonUnderTest]:
    with tempfile.TemporaryDirectory(prefix="steno-test-", dir="/tmp") as home:
        daemon = DaemonUnderTest(Path(home), FAKES)
        yield daemon
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


@pytest.mark.parametrize("number", HARMLESS)
def test_a_signal_that_asks_for_no_end_ends_no_daemon_that_boots(
    daemon: DaemonUnderTest, number: signal.Signals
) -> None:
    daemon.launch()
    assert daemon.process is not None
    time.sleep(FIRST_LINE_SECONDS)
    for _ in range(40):
        daemon.process.send_signal(number)
        time.sleep(0.02)
    eventually(daemon.answers, 60, "the socket answers")
    daemon.process.send_signal(number)
    assert daemon.get("/v1/status")["daemon"]["pid"] == daemon.pid
    assert daemon.stop() == 0


def test_a_hangup_while_it_boots_is_heard_once_it_has_booted(daemon: DaemonUnderTest) -> None:
    daemon.launch()
    assert daemon.process is not None
    time.sleep(FIRST_LINE_SECONDS)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(daemon.answers, 60, "the socket answers")
    eventually(lambda: "settings_reloaded" in daemon.log.read_text(), 10, "the settings are read again")
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_it_boots_it_ends_cleanly_at_any_moment(
    daemon: DaemonUnderTest, number: signal.Signals
) -> None:
    luck = random.Random(7)
    for _ in range(4):
        daemon.launch()
        assert daemon.process is not None
        time.sleep(FIRST_LINE_SECONDS + luck.uniform(0.0, 1.0))
        children = daemon.children()
        daemon.process.send_signal(number)
        assert daemon.process.wait(timeout=10) == 0
        eventually(lambda gone=children: not any(map(lives, gone)), 3, "no child is left")


def test_what_is_sent_while_it_leaves_does_not_turn_an_orderly_stop_into_a_death(daemon: DaemonUnderTest) -> None:
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    while daemon.process.poll() is None:
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    assert daemon.process.returncode == 0


def test_a_daemon_that_was_told_to_wait_with_its_signals_hears_them_at_its_first_line(
    daemon: DaemonUnderTest,
) -> None:
    """As `steno serve` becomes the daemon: what came before Python had started is not lost, and kills nothing."""
    becoming = (
        "import os, signal, sys;"
        "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGTERM, signal.SIGINT));"
        "os.kill(os.getpid(), signal.SIGTERM);"
        f"os.execv(sys.executable, {daemon.command!r})"
    )
    done = subprocess.run([sys.executable, "-c", becoming], env=daemon.environment, timeout=30, check=False)
    assert done.returncode == 0
    assert not daemon.socket.exists()
