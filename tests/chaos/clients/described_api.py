"""Schemathesis at our own description: whether every answer is one that /v1/openapi.json tells of.

Runs in: the chaos run. The tool lives in a virtual environment of its own (tools.txt, `make chaos-setup`); nothing of
it enters the product. It knows no Unix socket, so it comes in by a TCP port that is open as long as it runs.
"""

import json
import os
import subprocess
from pathlib import Path

from daemon_under_test import DaemonUnderTest

from chaos.clients.tcp_door import tcp_door
from chaos.daemon.broken_daemon import broken_daemon
from chaos.daemon.oracle import make
from chaos.tally import Tally
from chaos.trial import Trial

SCHEMATHESIS = Path(__file__).parents[3] / ".chaos" / "bin" / "schemathesis"
SETTINGS = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("fenced_calls.py")
EXAMPLES, MOST_SECONDS = 100, 600
ENVIRONMENT = {"FAKE_CHUNK_SECONDS": "30"}  # the canary would hear too many words otherwise


def ask(trial: Trial, tally: Tally) -> None:
    """Valid and invalid requests for every endpoint whose answer has an end; failures are what is wrong."""
    if not SCHEMATHESIS.exists():
        tally.figures["our OpenAPI description"] = "not tried: `make chaos-setup` brings schemathesis"
        tally.expect(trial.share < 1, "schemathesis is not there: `make chaos-setup`")
        return
    report, fence = trial.folder / "report.json", trial.folder / "fence"
    fence.mkdir()
    home = {"HOME": str(fence)}
    with (
        broken_daemon(trial.folder / "described", **ENVIRONMENT, **home) as daemon,
        tcp_door(daemon.socket) as port,
    ):
        _make_jobs(fence, daemon)
        command = [str(SCHEMATHESIS), "--config-file", str(SETTINGS), "run"]
        command += [f"http://127.0.0.1:{port}/v1/openapi.json", "--no-color", "--exclude-path-regex", "/events$"]
        # The coverage of each field's edges is the same thousand requests every time.
        command += ["--phases", "coverage,fuzzing,stateful" if trial.share >= 1 else "fuzzing"]
        command += ["--max-examples", str(trial.number(EXAMPLES)), "--seed", str(trial.seed)]
        command += ["--generation-database", "none", "--continue-on-failure"]
        command += ["--report", "json", "--report-json-path", str(report)]
        said = subprocess.run(
            command,
            cwd=trial.folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "CHAOS_FENCE": str(fence)},
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
        for watch in daemon.get("/v1/watches"):
            inside = Path(watch["path"]).is_relative_to(trial.folder)
            tally.expect(inside, f"the fence has a hole: {watch['path']} is watched")
        tally.expect(said.returncode == 0, f"schemathesis: {said.stdout[-9000:]} {said.stderr[-1000:]}")
    if said.returncode == 0:
        cases = json.loads(report.read_text())["test_cases"]
        tally.trials += cases["generated"]
        tally.figures["our OpenAPI description"] = (
            f"schemathesis: {cases['generated']} requests, {cases['with_failures']} failures"
        )


def _make_jobs(fence: Path, daemon: DaemonUnderTest) -> None:
    """One that is done, one that failed, one that was cancelled: something to be asked for."""
    recording = make(fence / "described.wav", 1, chunks=1).path
    nonsense = fence / "nonsense.wav"
    nonsense.write_text("nonsense")
    daemon.finished(daemon.submit(recording))
    daemon.finished(daemon.submit(nonsense))
    daemon.post("/v1/queue/pause")
    daemon.post(f"/v1/jobs/{daemon.submit(recording)}/cancel")
