"""What the MLX transcriber's process does not load."""

import subprocess
import sys

import pytest

pytest.importorskip("mlx.core")


def test_whisper_in_mlx_comes_without_what_word_timing_and_a_hub_need_until_they_are_asked_for() -> None:
    code = """
import sys
from workers.mlx.model import import_bare
import_bare("mlx_whisper")
import mlx_whisper.audio, mlx_whisper.tokenizer, mlx_whisper.whisper
heavy = {"numba", "scipy", "huggingface_hub", "mlx_whisper.transcribe"}
print(sorted(heavy & set(sys.modules)))
print(mlx_whisper.transcribe.__name__, sorted(heavy - set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["[]", "transcribe []"]
