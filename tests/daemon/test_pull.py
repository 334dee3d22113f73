"""`steno models pull` beside a daemon whose job waits for that very model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from ctranslate2_model import model_bin, tiny_whisper
from daemon_under_test import MEMO, a_daemon
from eventually import eventually
from fake_hub import a_hub

TINY = "Systran/faster-whisper-tiny"
FILES = {
    "config.json": b"{}",
    "model.bin": model_bin(tiny_whisper(np.random.default_rng(7))),
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"a\n",
}


def test_a_job_that_waits_for_a_model_goes_on_once_it_was_pulled(tmp_path: Path) -> None:
    with (
        a_hub(**{TINY: FILES}) as hub,
        a_daemon(
            WHISPER_BACKEND="engines_with_models:HubTranscriber",
            STENO_MODEL="tiny",
            # Nobody but the pull wakes the worker within this test.
            STENO_RESTARTS_PROBE_SECONDS="600",
            FAKE_CHUNK_SECONDS="5",
            HF_HOME=str(tmp_path),
        ) as daemon,
    ):
        job_id = daemon.submit(MEMO, output_dir=str(tmp_path))
        eventually(
            lambda: "needs model tiny" in (daemon.job(job_id)["note"] or ""), 30, "the job says what it waits for"
        )
        assert [path for _, path, _ in hub.asked] == []  # the daemon may not download here
        pulled = subprocess.run(
            [sys.executable, "-P", "-m", "client.steno", "models", "pull", "tiny"],
            env={**daemon.environment, "HF_ENDPOINT": hub.address},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert pulled.returncode == 0, pulled.stderr
        assert "tiny" in pulled.stdout
        assert daemon.finished(job_id, 30)["status"] == "done"
