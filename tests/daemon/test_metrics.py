"""The metrics page of a daemon that did something: its names, its counts, and the opinion of Prometheus' own tool."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually
from prometheus_client.parser import text_string_to_metric_families

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics"


def page(daemon: DaemonUnderTest) -> str:
    with daemon.client() as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def samples(text: str) -> dict[tuple[str, str], float]:
    """Name and label values, in the order of the labels' names → value."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_happened_is_counted_once_and_named_as_documented() -> None:
    with a_daemon('[hooks]\non_done = "true"\n', FAKE_CHUNK_SECONDS="5") as daemon:
        assert samples(page(daemon))["steno_jobs_finished_total", "done"] == 0
        daemon.finished(daemon.submit(daemon.own(MEMO)))
        eventually(lambda: samples(page(daemon)).get(("steno_hook_runs_total", "done,succeeded")) == 1)
        daemon.kill_worker("aligner", signal.SIGSEGV, when="ready")
        eventually(lambda: samples(page(daemon)).get(("steno_worker_deaths_total", "SIGSEGV,aligner")) == 1)
        found = samples(page(daemon))
        assert found["steno_jobs_finished_total", "done"] == found["steno_jobs", "done"] == 1
        assert found["steno_job_duration_seconds_count", ""] == found["steno_job_wait_seconds_count", ""] == 1
        assert found["steno_audio_seconds_total", "transcribing"] == pytest.approx(12.6, abs=0.1)
        assert found["steno_worker_up", "transcriber"] == 1
        assert found["steno_http_requests_total", "201,POST,/v1/jobs"] == 1
        assert found["steno_last_done_timestamp_seconds", ""] > 1.7e9
        assert found["process_resident_memory_bytes", ""] > 1e6


def test_no_path_no_id_and_no_text_is_in_it() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5") as daemon:
        job = daemon.finished(daemon.submit(daemon.own(MEMO)))
        with daemon.client() as client:
            client.get("/v1/jobs/1")
            for odd in ("/secret/path", "/v1/jobs/999", "/v1/nothing"):
                client.get(odd)
        text = page(daemon)
        assert MEMO.name not in text
        assert str(daemon.home) not in text
        assert "secret" not in text
        assert 'route="/v1/jobs/{job_id}"' in text
        assert not any(word in text.split() for word in daemon.transcript(job)["text"].split())


def test_the_dashboard_and_the_alerts_name_only_metrics_that_exist() -> None:
    with a_daemon('[hooks]\non_done = "true"\n', FAKE_CHUNK_SECONDS="5") as daemon:
        daemon.finished(daemon.submit(daemon.own(MEMO)))
        names = {family.name for family in text_string_to_metric_families(page(daemon))}
    pages = [DOCS / "grafana.json", DOCS / "alerts.yml"]
    named = set(re.findall(r"\b(?:steno|process)_[a-z_]+", "".join(file.read_text() for file in pages)))
    assert len(named) > 12
    assert {re.sub(r"_(total|bucket)$", "", name) for name in named} <= names | {"steno_queue_eta_seconds"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Debian's package prometheus, is missing")
def test_the_tool_of_prometheus_has_nothing_to_say() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5") as daemon:
        daemon.finished(daemon.submit(daemon.own(MEMO)))
        text = page(daemon)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
