"""Fixtures for every ring of tests.

Runs in: the test process.
"""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from no_leftovers import no_leftovers
from service_stand_ins import StandIns

# A run that a shell started in its background ignores Ctrl-C, and so would every child that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about what else the machine does than about us.
hypothesis.settings.register_profile("stenod", deadline=None)
hypothesis.settings.load_profile("stenod")

SEED_TOLD_BY = "STENOD_CHAOS_SEED"

STAND_INS = StandIns(Path(tempfile.mkdtemp(prefix="steno-stand-ins-")))
STAND_INS.go_first()


def pytest_configure() -> None:
    # In the environment, for the processes that xdist starts.
    os.environ.setdefault(SEED_TOLD_BY, str(secrets.randbelow(1 << 32)))


def pytest_unconfigure() -> None:
    STAND_INS.remove()


def pytest_report_header() -> str:
    """Printed first: a run that dies half-way can still be repeated."""
    return f"chaos: {SEED_TOLD_BY}={os.environ[SEED_TOLD_BY]}"


@pytest.fixture
def chaos_seed() -> int:
    """The seed of the chaos smoke test."""
    return int(os.environ[SEED_TOLD_BY])


@pytest.fixture(autouse=True)
def services_stay_as_they_are() -> Iterator[None]:
    """The test fails if it would have started, stopped or loaded a service of this machine."""
    yield
    assert not STAND_INS.calls()


@pytest.fixture
def stand_ins() -> StandIns:
    """The service managers that a test finds on its PATH when it brings none of its own."""
    return STAND_INS


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """The test fails if it leaves a child, a zombie, a worker's thread or a half-written file behind."""
    with no_leftovers(tmp_path):
        yield


@pytest.fixture
def three_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PCM of 1.5 s; fake engines started in this test take it as three chunks of 0.5 s."""
    monkeypatch.setenv("FAKE_CHUNK_SECONDS", "0.5")
    path = tmp_path / "audio.s16"
    path.write_bytes(np.arange(24_000, dtype=np.int16).tobytes())
    return path
