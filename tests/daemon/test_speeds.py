"""What a whole daemon learns from its jobs and tells of those to come, and `steno bench` beside it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon_under_test import FAKES, MEMO, TEST_PATH, a_daemon
from eventually import eventually

STENO = str(Path(sys.executable).with_name("steno"))
SLOW = {"STENO_MODEL": "pace=0.2", "FAKE_CHUNK_SECONDS": "2"}


def test_a_daemon_knows_at_once_how_long_the_queue_will_take_and_a_job_once_it_is_decoded() -> None:
    with a_daemon(**SLOW) as daemon:
        assert daemon.get("/v1/status")["speeds"] == []
        daemon.finished(daemon.submit(MEMO, output_dir=str(daemon.home)))
        transcriber, aligner = daemon.get("/v1/status")["speeds"]
        # Seven chunks of 0.2 s: about 9 times real time, however quick the machine is.
        assert (transcriber["role"], transcriber["device"]) == ("transcriber", "cpu")
        assert 0 < transcriber["speed"] < 20
        assert aligner["speed"] > 0
        daemon.stop()
        daemon.start()
        assert daemon.get("/v1/status")["speeds"] == [transcriber, aligner]
        daemon.post("/v1/queue/pause")
        last = [daemon.submit(MEMO, output_dir=str(daemon.home)) for _ in range(4)][-1]
        assert daemon.get("/v1/status")["queue"]["eta_seconds"] is None, "paused: nobody knows"
        at_once = daemon.post("/v1/queue/resume").json()["eta_seconds"]
        # Each counts as long as the one that is done.
        assert at_once > 4 * 12.6 / 20
        decoded = eventually(
            lambda: [job for job in daemon.get("/v1/status")["running"] if job["audio_seconds"]], 10, "it is decoded"
        )
        assert decoded[0]["eta_seconds"] > 0 and decoded[0]["share"] is not None
        daemon.finished(last)
        # A job is done on the disk a moment before it is off the board.
        eventually(lambda: daemon.get("/v1/status")["queue"]["eta_seconds"] is None, 10, "nothing is left to do")


def test_without_alignment_the_bar_does_not_wait_for_words() -> None:
    with a_daemon(**SLOW, ALIGNMENT_BACKEND="none") as daemon, daemon.client() as client:
        shares = []
        with client.stream("GET", "/v1/events") as events:
            job_id = daemon.submit(MEMO, output_dir=str(daemon.home))
            for line in events.iter_lines():
                told = json.loads(line[5:]) if line.startswith("data:") else {}
                if told.get("kind") == "progress" and told["running"]["phase"] == "transcribing":
                    shares.append(told["running"]["share"])
                if told.get("kind") == "job" and told["job"]["id"] == job_id and told["job"]["status"] == "done":
                    break
        assert shares == sorted(shares)
        assert shares[-1] > 0.95


# --- steno bench -------------------------------------------------------------------------------------------------


@contextmanager
def a_bench(home: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    owner = {name: value for name, value in os.environ.items() if not name.startswith("STENO_")}
    asked = subprocess.Popen(
        [STENO, "bench", *words],
        env={**owner, "PYTHONPATH": TEST_PATH, **FAKES, **SLOW, "STENO_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield asked
    finally:
        asked.kill()
        asked.wait()


def private_homes(owner: Path) -> list[Path]:
    """Those of daemons that were started for one command with this owner's models."""
    links = Path("/tmp").glob("steno-????????/models")
    return [link.parent for link in links if link.is_symlink() and link.readlink() == owner / "models"]


def test_bench_measures_each_model_and_leaves_nothing_with_its_owner(tmp_path: Path) -> None:
    with a_bench(tmp_path, "--runs", "2", "--json", "--recording", str(MEMO), "--model", "pace=0.05") as asked:
        answer, talk = asked.communicate(timeout=90)
    assert asked.returncode == 0, talk
    (figures,) = json.loads(answer)["models"]
    assert (figures["model"], figures["engine"]) == ("pace=0.05", "fake_engines:EchoTranscriber")
    assert figures["transcription"]["seconds"] >= 7 * 0.05
    assert figures["end_to_end"]["seconds"] >= 7 * 0.05
    assert figures["alignment"]["seconds"] > 0
    assert set(figures["memory_bytes"]) == {"transcriber", "aligner"}
    assert figures["load_seconds"] is not None
    assert not list(MEMO.parent.glob("memo*.json")), "results are nobody's"
    assert not (tmp_path / "state").exists() and not private_homes(tmp_path)


def test_a_model_that_is_not_there_is_told_and_nothing_is_fetched(tmp_path: Path) -> None:
    lacking = {"WHISPER_BACKEND": "fake_engines:NeedsModelTranscriber"}
    with a_bench(tmp_path, "--model", "a", **lacking) as asked:
        page, _ = asked.communicate(timeout=60)
    assert asked.returncode == 4
    assert "a: not measured: needs model small: run steno models pull small" in page


def test_ctrl_c_ends_a_bench_with_all_it_started(tmp_path: Path) -> None:
    with a_bench(tmp_path, "--recording", str(MEMO)) as asked:
        assert asked.stderr is not None
        for line in asked.stderr:
            if "run 1" in line:
                break
        assert len(private_homes(tmp_path)) == 1
        asked.send_signal(signal.SIGINT)
        page, _ = asked.communicate(timeout=20)
    assert asked.returncode == 130
    assert page == ""
    assert not private_homes(tmp_path)
