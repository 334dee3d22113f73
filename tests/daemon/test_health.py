"""Health is proved: a clip goes through both workers, or it is said why it did not come out.

Runs in: the test process.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually
from typer.testing import CliRunner

from client import steno
from client.daemon.connection import DaemonClient
from client.terminal import exit_codes
from ipc.status_views import CanaryView


def health(daemon: DaemonUnderTest, **parameters: Any) -> tuple[int, Any]:
    """Status and body."""
    with daemon.client() as client:
        answer = client.get("/v1/health", params=parameters, timeout=30)
        return answer.status_code, answer.json()


def until_ready(daemon: DaemonUnderTest) -> None:
    for role in ("transcriber", "aligner"):
        daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")


def test_a_healthy_daemon_proves_it_once_for_everybody_and_again_when_asked() -> None:
    with a_daemon() as daemon:
        until_ready(daemon)
        status, first = health(daemon)
        assert (status, first["healthy"], first["canary"]["words"]) == (200, True, 4)
        # The fake hears numbers whatever is said: told, and no reason to be ill.
        assert "all 4 words timed; misheard" in first["canary"]["detail"]
        assert CanaryView.model_validate(first["canary"]).real_time_factor is not None
        assert health(daemon) == (200, first)
        with ThreadPoolExecutor() as several:
            fresh = list(several.map(lambda _: health(daemon, fresh=True)[1]["canary"]["at"], range(4)))
        assert min(fresh) > first["canary"]["at"]
        # A new process has proved nothing yet.
        killed = daemon.kill_worker("transcriber", when="ready")
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready" and worker["pid"] != killed)
        assert health(daemon)[1]["canary"]["at"] > max(fresh)
        assert daemon.get("/v1/jobs") == []


def test_a_model_that_hears_more_than_anybody_says_is_ill() -> None:
    with a_daemon(WHISPER_BACKEND="fake_engines:BabblingTranscriber") as daemon:
        until_ready(daemon)
        status, found = health(daemon)
        assert (status, found["healthy"]) == (503, False)
        assert "its model may be damaged" in found["canary"]["detail"]


def test_a_worker_that_dies_of_the_canary_is_ill_and_no_job_pays_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_daemon(ALIGNMENT_BACKEND="fake_engines:SegfaultOnCallAligner") as daemon:
        until_ready(daemon)
        status, found = health(daemon)
        assert (status, found["healthy"]) == (503, False)
        assert "the aligner crashed on it: segmentation fault" in found["canary"]["detail"]
        assert found["canary"]["transcribe_seconds"] is not None
        until_ready(daemon)
        assert daemon.worker("aligner")["last_death"]["during_job"] is None
        # Bad news is believed for a while, or the asking alone would break the worker.
        assert health(daemon)[1]["canary"] == found["canary"]
        with DaemonClient(daemon.socket) as client:
            assert client.health().healthy is False
        monkeypatch.setenv("STENO_HOME", str(daemon.home))
        verb = CliRunner().invoke(steno.app, ["health"])
        assert verb.exit_code == exit_codes.UNHEALTHY
        assert verb.output.startswith("not healthy\ntranscriber: ready\n")
        assert "self-test: the aligner crashed on it" in verb.output


def test_a_broken_aligner_is_ill_without_any_canary() -> None:
    with a_daemon(ALIGNMENT_BACKEND="fake_engines:NeedsModelAligner") as daemon:
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "broken")
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
        status, found = health(daemon)
        assert (status, found.pop("reasons"), found.pop("warnings")) == (
            503,
            ["the aligner is broken: needs model small: run steno models pull small"],
            [],
        )
        assert found == {"healthy": False, "transcriber": "ready", "aligner": "broken", "canary": None}
        assert "needs model small: run steno models pull" in health(daemon, fresh=True)[1]["canary"]["detail"]


def test_a_transcriber_that_hangs_in_the_canary_is_found_and_replaced() -> None:
    hangs = "fake_engines:HangHoldingGilTranscriber"
    with a_daemon(WHISPER_BACKEND=hangs, STENO_HEALTH_CANARY_SECONDS="2", FAKE_CHUNK_SECONDS="1") as daemon:
        until_ready(daemon)
        hung = daemon.worker("transcriber")["pid"]
        status, found = health(daemon)
        assert (status, found["canary"]["words"]) == (503, 0)
        assert "the transcriber crashed on it: " in found["canary"]["detail"]
        assert "not done after" in found["canary"]["detail"]
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready" and worker["pid"] != hung)


def test_an_aligner_that_knows_nothing_of_the_language_is_no_illness() -> None:
    with a_daemon(STENO_LANGUAGE="xx") as daemon:
        until_ready(daemon)
        status, found = health(daemon)
        assert (status, found["healthy"]) == (200, True)
        assert "no model for 'xx'" in found["canary"]["detail"]


def test_a_busy_worker_is_proof_and_no_canary_stands_in_its_line() -> None:
    with a_daemon(STENO_MODEL="pace=0.5", FAKE_CHUNK_SECONDS="1") as daemon:
        until_ready(daemon)
        job_id = daemon.submit(daemon.own(MEMO))
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
        for fresh in (False, True):
            status, found = health(daemon, fresh=fresh)
            assert (status, found["healthy"], found["canary"]["transcribe_seconds"]) == (200, True, None)
            assert "the transcriber is busy" in found["canary"]["detail"]
        daemon.post(f"/v1/jobs/{job_id}/cancel")


def test_a_plain_question_wakes_nobody_and_keeps_nobody_awake() -> None:
    with a_daemon(STENO_WORKERS_KEEP_ALIVE="1.5s", STENO_HEALTH_CANARY_FRESH_SECONDS="0") as daemon:
        until_ready(daemon)
        proof = health(daemon)[1]["canary"]

        def both_unloaded_while_asked() -> bool:
            assert health(daemon)[1]["canary"] == proof
            return all(worker["state"] == "unloaded" for worker in daemon.get("/v1/status")["workers"])

        eventually(both_unloaded_while_asked, 10, "unloaded, though somebody asks all the time")
        assert health(daemon)[0] == 200
        assert daemon.worker("transcriber")["state"] == "unloaded"
        assert health(daemon, fresh=True)[1]["canary"]["at"] > proof["at"]
