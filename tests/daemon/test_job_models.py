"""Jobs that name their own model, models that are missing, and workers that are put away: the whole daemon."""

import json
import shutil
from pathlib import Path

from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually

WITH_MODELS = {"WHISPER_BACKEND": "engines_with_models:ModelTranscriber", "FAKE_CHUNK_SECONDS": "5"}
"""A model is a file in the daemon's folder for models."""


def recording(daemon: DaemonUnderTest, name: str) -> Path:
    return Path(shutil.copy(MEMO, daemon.home / name))


def model_of(daemon: DaemonUnderTest, job_id: int) -> str:
    job = daemon.finished(job_id)
    assert job["status"] == "done", job
    return str(daemon.transcript(job)["engine"]["transcriber"]["model"])


def put_model(daemon: DaemonUnderTest, model: str) -> None:
    (daemon.home / "models" / model).touch()


def test_each_job_gets_its_model_and_one_that_cannot_be_had_holds_up_no_other() -> None:
    with a_daemon(**WITH_MODELS) as daemon:
        put_model(daemon, "small")
        own = daemon.submit(recording(daemon, "own.flac"))
        small = daemon.submit(recording(daemon, "small.flac"), model="small")
        missing = [daemon.submit(recording(daemon, f"{name}.flac"), model="large") for name in ("first", "second")]
        unknown = daemon.submit(recording(daemon, "unknown.flac"), model="unknown-7b")
        damaged = daemon.submit(recording(daemon, "damaged.flac"), model="damaged")
        last = daemon.submit(recording(daemon, "last.flac"))
        assert [model_of(daemon, job_id) for job_id in (own, small, last)] == ["fake", "small", "fake"]
        for job_id, code in ((unknown, "unknown_model"), (damaged, "model_damaged")):
            job = daemon.finished(job_id)
            assert (job["status"], job["error"]["code"], job["attempts"]) == ("failed", code, [])
        assert daemon.job(unknown)["error"]["hint"] == "did you mean small?"
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
        needed = ("waiting", "needs model large: run `steno models pull large`")
        eventually(
            lambda: {(daemon.job(job_id)["status"], daemon.job(job_id)["note"]) for job_id in missing} == {needed}
        )
        worker = daemon.worker("transcriber")
        assert (worker["model"], worker["restarts"], worker["last_death"]) == ("fake", 0, None)
        assert daemon.get("/v1/health")["healthy"]
        put_model(daemon, "large")
        assert [model_of(daemon, job_id) for job_id in missing] == ["large", "large"]


def test_jobs_for_two_models_in_mixed_order_exchange_the_model_once_and_the_status_says_who_is_next() -> None:
    with a_daemon(**WITH_MODELS) as daemon:
        put_model(daemon, "small")
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
        daemon.post("/v1/queue/pause")
        models = [None, "small"] * 5
        jobs = [daemon.submit(recording(daemon, f"{n}.flac"), model=model) for n, model in enumerate(models)]
        expected = jobs[0::2] + jobs[1::2]
        assert [job["id"] for job in daemon.get("/v1/status")["next_up"]] == expected
        daemon.post("/v1/queue/resume")
        assert [model_of(daemon, job_id) for job_id in jobs] == ["fake", "small"] * 5
        log = daemon.log.read_text()
        started = [json.loads(line)["job"] for line in log.splitlines() if '"job_started"' in line]
        assert started == expected
        assert log.count('"another engine or model wanted"') == 1


def test_a_folder_that_holds_a_model_may_come_later_too() -> None:
    with a_daemon(**WITH_MODELS) as daemon:
        elsewhere = daemon.home / "disk" / "whisper"
        waiting = daemon.submit(recording(daemon, "memo.flac"), model=str(elsewhere))
        eventually(lambda: f"needs model {elsewhere}" in (daemon.job(waiting)["note"] or ""))
        elsewhere.mkdir(parents=True)
        (elsewhere / "model.bin").touch()
        assert model_of(daemon, waiting) == str(elsewhere)


def test_the_settings_own_missing_model_is_noticed_soon_and_at_once_after_a_restart() -> None:
    with a_daemon(
        **WITH_MODELS,
        ALIGNMENT_BACKEND="engines_with_models:ModelAligner",
        STENO_MODEL="small",
        STENO_ALIGNMENT_MODEL="words",
    ) as daemon:
        waiting = daemon.submit(recording(daemon, "memo.flac"))
        eventually(lambda: "needs model small" in (daemon.job(waiting)["note"] or ""))
        put_model(daemon, "small")
        assert daemon.post("/v1/workers/transcriber/restart").status_code == 200
        job = daemon.finished(waiting, 8)
        assert (job["timing"], job["degraded_reason"]) == ("segment", "aligner_unavailable")
        put_model(daemon, "words")
        eventually(lambda: daemon.job(waiting)["timing"] == "word", 15, "looked for again within ten seconds")
        assert [daemon.worker(role)["restarts"] for role in ("transcriber", "aligner")] == [0, 0]


def test_a_stand_in_that_cannot_be_had_leaves_the_last_try_to_the_engine_that_crashed(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("2")
    with a_daemon(
        WHISPER_BACKEND="fake_engines:CrashTimesTranscriber",
        ALIGNMENT_BACKEND="none",
        STENO_WORKERS_FALLBACK="true",
        STENO_FALLBACK_MODEL="no-such-model",
        FAKE_CRASHES=str(crashes),
        FAKE_CHUNK_SECONDS="5",
    ) as daemon:
        job = daemon.finished(daemon.submit(recording(daemon, "memo.flac")))
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["crashed", "crashed", "done"]
        assert len({attempt["engine"] for attempt in job["attempts"]}) == 1
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")


def test_with_keep_alive_0_workers_come_with_a_job_and_go_with_it() -> None:
    with a_daemon(STENO_WORKERS_KEEP_ALIVE="0", FAKE_CHUNK_SECONDS="5") as daemon:
        for name in ("one.flac", "two.flac"):
            assert [daemon.worker(role)["state"] for role in ("transcriber", "aligner")] == ["unloaded", "unloaded"]
            job = daemon.finished(daemon.submit(recording(daemon, name)))
            assert (job["status"], job["timing"]) == ("done", "word")
            for role in ("transcriber", "aligner"):
                daemon.wait_for_worker(role, lambda worker: worker["state"] == "unloaded" and not worker["pid"])
        log = daemon.log.read_text()
        assert log.count("worker_started") == 4, "one of each role for each job"
        assert "worker_died" not in log


def test_an_unloaded_worker_comes_back_for_the_next_job() -> None:
    with a_daemon(STENO_WORKERS_ALIGNER_KEEP_ALIVE="0.3s", FAKE_CHUNK_SECONDS="5") as daemon:
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
        daemon.wait_for_worker("aligner", lambda worker: worker["state"] == "unloaded")
        answer = daemon.post("/v1/workers/transcriber/unload")
        assert (answer.status_code, answer.json()["role"]) == (200, "transcriber")
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "unloaded" and not worker["pid"])
        assert daemon.get("/v1/health")["healthy"], "put away is not broken"
        job = daemon.finished(daemon.submit(recording(daemon, "memo.flac")))
        assert (job["status"], job["timing"]) == ("done", "word")
        assert daemon.worker("transcriber")["restarts"] == 0
