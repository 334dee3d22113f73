"""A Mac session without a GPU: MLX raises in its first call, and the worker says so instead of a traceback.

Runs in: the test process.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import NoReturn

import pytest

from workers.engine import EngineRefusal
from workers.mlx.model import open_device

SAID = "[metal::load_device] No Metal device available. This typically occurs in headless macOS sessions."


def core_that_raises(monkeypatch: pytest.MonkeyPatch, where: str, error: Exception) -> None:
    def refuse(*given: object) -> NoReturn:
        raise error

    core = ModuleType("mlx.core")
    metal = SimpleNamespace(is_available=lambda: True)
    vars(core).update(set_cache_limit=lambda limit: 0, metal=metal, cpu="cpu")
    core.default_device = lambda: SimpleNamespace(type="gpu")  # type: ignore[attr-defined]
    setattr(core, where, refuse)
    package = ModuleType("mlx")
    package.core = core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlx", package)
    monkeypatch.setitem(sys.modules, "mlx.core", core)


@pytest.mark.parametrize("where", ["set_cache_limit", "default_device"])
def test_a_session_without_a_gpu_is_a_refusal_with_a_way_out(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    core_that_raises(monkeypatch, where, RuntimeError(SAID))
    with pytest.raises(EngineRefusal) as refused:
        open_device()
    assert refused.value.code == "no_metal"
    assert SAID in refused.value.message
    assert "virtual machine" in refused.value.hint and "WHISPER_BACKEND=whisperx" in refused.value.hint


def test_a_machine_short_of_memory_is_not_taken_for_one_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    core_that_raises(monkeypatch, "set_cache_limit", RuntimeError("std::bad_alloc"))
    with pytest.raises(RuntimeError, match="bad_alloc"):
        open_device()


def test_with_a_gpu_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    core_that_raises(monkeypatch, "never_called", RuntimeError())
    assert open_device() == "metal"
