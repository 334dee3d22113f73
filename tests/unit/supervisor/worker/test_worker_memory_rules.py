"""How large a worker may be, how long it stays, and what tells that a model came: decisions without a process."""

import os
from pathlib import Path

from config.field_types import FOR_EVER
from config.settings import WorkerSettings
from supervisor.worker.availability import snapshot_model_folders
from supervisor.worker.idle_policy import (
    LINGER_SECONDS,
    MemoryGrowth,
    keep_alive_seconds,
    memory_limit_bytes,
    seconds_until_unload,
)

GB = 1_000_000_000


def test_the_limit_is_half_of_the_machine_or_twice_the_fresh_worker_unless_it_is_set() -> None:
    assert memory_limit_bytes(0, machine_bytes=16 * GB, when_ready_bytes=2 * GB) == 8 * GB
    assert memory_limit_bytes(0, machine_bytes=8 * GB, when_ready_bytes=3 * GB) == 6 * GB
    assert memory_limit_bytes(500, machine_bytes=8 * GB, when_ready_bytes=3 * GB) == 500_000_000


def test_growth_is_told_in_figures() -> None:
    growth = MemoryGrowth(now_bytes=5_210_000_000, when_ready_bytes=1_620_000_000, limit_bytes=4 * GB)
    assert growth.is_too_much
    assert str(growth) == "it had grown from 1,620 MB to 5,210 MB; the limit is 4,000 MB"


def test_keep_alive_is_one_for_both_unless_a_role_has_its_own() -> None:
    settings = WorkerSettings(keep_alive=600, aligner_keep_alive=FOR_EVER)
    assert keep_alive_seconds("transcriber", settings) == 600
    assert keep_alive_seconds("aligner", settings) is None


def test_a_worker_leaves_when_it_has_idled_long_enough_and_never_within_a_moment_of_its_job() -> None:
    assert seconds_until_unload(None, idle_since=0.0, now=9.0) is None
    assert seconds_until_unload(10.0, idle_since=5.0, now=9.0) == 6.0
    assert seconds_until_unload(10.0, idle_since=5.0, now=99.0) == 0.0
    assert seconds_until_unload(0.0, idle_since=5.0, now=5.0) == LINGER_SECONDS


def test_a_model_that_comes_or_becomes_whole_is_seen(tmp_path: Path) -> None:
    hub, own = tmp_path / "hub", tmp_path / "own"
    seen = [snapshot_model_folders([own, hub])]
    assert seen == [frozenset()]
    own.mkdir()
    (own / "small").mkdir()
    seen.append(snapshot_model_folders([own, hub]))
    snapshot = hub / "models--Systran--faster-whisper-small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    os.utime(snapshot, ns=(1, 1))
    seen.append(snapshot_model_folders([own, hub]))
    (snapshot / "model.bin").touch()
    seen.append(snapshot_model_folders([own, hub]))
    assert len(set(seen)) == 4
    assert snapshot_model_folders([own, hub]) == seen[-1]
