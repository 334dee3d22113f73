"""Watched folders of a whole daemon: each treats its recordings its own way, and none of them twice.

Runs in: the test process.
"""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import noise, wav

LIMIT_SECONDS = 60.0


def jobs_done(daemon: DaemonUnderTest, count: int) -> list[dict[str, Any]]:
    """All jobs, oldest first, once so many are there and finished."""

    def look() -> list[dict[str, Any]] | None:
        jobs = daemon.get("/v1/jobs", limit=1000)
        over = [job for job in jobs if job["status"] in ("done", "failed")]
        return jobs[::-1] if len(over) == len(jobs) == count else None

    jobs = eventually(look, LIMIT_SECONDS, f"{count} jobs finish; see {daemon.log}")
    assert jobs is not None
    return jobs


def watch(daemon: DaemonUnderTest, folder: Path, **how: object) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    answer = daemon.post("/v1/watches", {"path": str(folder), **how})
    assert answer.status_code == 201, answer.text
    said: dict[str, Any] = answer.json()
    return said


def state_of(daemon: DaemonUnderTest, folder: Path) -> str:
    views = {view["path"]: view for view in daemon.get("/v1/watches")}
    return str(views[str(folder)]["state"])


def drop(folder: Path, name: str, seconds: float) -> Path:
    """A recording unlike those of any other length. The daemon answers before it has made its folder."""
    eventually(folder.is_dir, 10)
    return wav(folder / name, noise(seconds))


def test_folders_treat_the_same_recording_as_each_of_them_wants_and_their_results_cause_no_loop() -> None:
    with a_daemon() as daemon:
        daemon.stop()
        notes, subtitles = daemon.home / "notes", daemon.home / "subtitles"
        (daemon.home / "config.toml").write_text(
            f'[[watch]]\npath = "{notes}"\nrecursive = true\ninclude = ["*"]\ndone = "done"\noutput = "out"\n'
            'workflow = "transcribe"\nformats = ["md"]\n'
            f'[[watch]]\npath = "{subtitles}"\nlanguage = "de"\nformats = ["vtt", "json"]\nexclude = ["draft*"]\n'
        )
        for folder in (notes, subtitles):
            folder.mkdir()
            shutil.copy(MEMO, folder / "memo.flac")
        drop(subtitles, "draft.wav", 1.0)
        (notes / "done").mkdir()
        drop(notes / "done", "done before.wav", 1.1)
        daemon.start()
        first, second = sorted(jobs_done(daemon, 2), key=lambda job: str(job["watch"]))
        assert [job["watch"] for job in (first, second)] == [str(notes), str(subtitles)]
        assert first["outputs"] == {"md": str(notes / "out" / "memo.md")}
        assert (first["timing"], second["timing"]) == ("segment", "word")
        assert second["language"] == "de"
        assert sorted(path.name for path in subtitles.iterdir()) == [
            *("draft.wav", "memo.flac", "memo.json", "memo.vtt"),
        ]
        # A copy is nothing new where it was treated before, and what lies where results go is not looked at.
        shutil.copy(MEMO, notes / "copy.flac")
        drop(notes / "out", "result.wav", 1.2)
        drop(notes, "new.wav", 1.3)
        assert [Path(job["path"]).name for job in jobs_done(daemon, 3)][2:] == ["new.wav"]


def test_fifty_recordings_become_fifty_jobs_and_names_that_differ_in_their_ending_share_no_result() -> None:
    with a_daemon(STENO_WATCHING_SETTLE_SECONDS="0.5") as daemon:
        for number in range(48):
            drop(daemon.inbox, f"memo {number:02}.wav", 0.5 + number / 100)
        drop(daemon.inbox, "a.wav", 1.1)
        drop(daemon.inbox, "a.mp3", 1.2)
        jobs = jobs_done(daemon, 50)
        assert Counter(job["status"] for job in jobs) == {"done": 50}
        assert len({job["path"] for job in jobs}) == 50
        outputs = [path for job in jobs for path in job["outputs"].values()]
        assert len(set(outputs)) == len(outputs) == 100
        assert all(Path(path).is_file() for path in outputs)
        lengths = {Path(job["path"]).name: daemon.transcript(job)["duration"] for job in jobs}
        assert (lengths["a.wav"], lengths["a.mp3"]) == (1.1, 1.2)
        assert {path.name for path in daemon.inbox.glob("a*.srt")} == {"a.srt", "a (2).srt"}


def test_a_folder_that_vanishes_and_returns_brings_what_is_new_and_nothing_twice() -> None:
    with a_daemon() as daemon:
        drop(daemon.inbox, "old.wav", 1.0)
        jobs_done(daemon, 1)
        away = daemon.inbox.rename(daemon.home / "away")
        eventually(lambda: state_of(daemon, daemon.inbox) == "offline", 10)
        (view,) = daemon.get("/v1/watches")
        assert "not there" in view["note"]
        daemon.stop()
        drop(away, "new.wav", 1.1)
        # The disk returns with other inodes, as after a restore.
        shutil.copytree(away, daemon.inbox, copy_function=shutil.copy2)
        daemon.start()
        jobs = jobs_done(daemon, 2)
        assert [Path(job["path"]).name for job in jobs] == ["old.wav", "new.wav"]
        assert [path.name for path in daemon.inbox.glob("old*.srt")] == ["old.srt"]


def test_jobs_whose_folder_went_away_wait_for_its_return_and_do_not_fail() -> None:
    with a_daemon(STENO_WATCHING_SCAN_SECONDS="60") as daemon:
        daemon.post("/v1/queue/pause")
        for seconds in (1.0, 1.1, 1.2):
            drop(daemon.inbox, f"{seconds}.wav", seconds)
        eventually(lambda: len(daemon.get("/v1/jobs")) == 3, 20)
        away = daemon.inbox.rename(daemon.home / "away")
        daemon.post("/v1/queue/resume")
        eventually(lambda: any("not there now" in (job["note"] or "") for job in daemon.get("/v1/jobs")), 10)
        eventually(lambda: daemon.get("/v1/status")["queue"]["waiting"] == 3, 10)
        daemon.stop()
        away.rename(daemon.inbox)
        daemon.start()
        assert [job["status"] for job in jobs_done(daemon, 3)] == ["done"] * 3
        # A recording that its owner took away is another matter.
        daemon.post("/v1/queue/pause")
        drop(daemon.inbox, "deleted.wav", 1.3)
        eventually(lambda: len(daemon.get("/v1/jobs")) == 4, 20)
        (daemon.inbox / "deleted.wav").unlink()
        daemon.post("/v1/queue/resume")
        assert jobs_done(daemon, 4)[3]["error"]["code"] == "not_found"


def test_a_failed_recording_waits_for_its_content_to_change_through_touches_and_restarts() -> None:
    with a_daemon(WHISPER_BACKEND="fake_engines:RaisingTranscriber", FAKE_CHUNK_SECONDS="1") as daemon:
        bad = drop(daemon.inbox, "bad.wav", 1.0)
        assert jobs_done(daemon, 1)[0]["status"] == "failed"
        daemon.stop()
        daemon.environment["WHISPER_BACKEND"] = "fake_engines:EchoTranscriber"
        daemon.start()
        bad.touch()
        drop(daemon.inbox, "other.wav", 1.1)
        assert [job["status"] for job in jobs_done(daemon, 2)] == ["failed", "done"]
        drop(daemon.inbox, "bad.wav", 1.2)
        jobs = jobs_done(daemon, 3)
        assert [job["status"] for job in jobs] == ["failed", "done", "done"]
        assert jobs[2]["path"] == str(bad)
        assert daemon.transcript(jobs[2])["duration"] == 1.2


def test_how_a_folder_is_watched_is_changed_kept_and_refused_over_the_socket() -> None:
    with a_daemon() as daemon:
        rec = daemon.home / "rec"
        watch(daemon, rec, polling=True)
        how = {
            "include": ["*.m4a"],
            "failed": "failed",
            "options": {"language": "de", "output_name": "{date} {stem}", "replacements": {"Kate": "Käthe"}},
        }
        view = watch(daemon, rec, **how)
        assert (view["include"], view["failed"], view["polling"]) == (["*.m4a"], str(rec / "failed"), False)
        assert view["options"]["replacements"] == {"Kate": "Käthe"}
        for wrong, code, word in [
            ({"options": {"output_name": "all the same"}}, 400, "{stem}"),
            ({"done": str(rec)}, 400, "other folders"),
            ({"options": {"formats": ["exe"]}}, 422, "formats"),
            ({"include": ["~/x"]}, 400, "include"),
            ({"colour": "red"}, 422, "colour"),
        ]:
            answer: httpx.Response = daemon.post("/v1/watches", {"path": str(rec), **wrong})
            assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json")
            assert word in answer.json()["detail"]
            assert answer.json()["hint"]
        daemon.stop()
        daemon.start()
        assert daemon.get("/v1/watches")[1] == view
