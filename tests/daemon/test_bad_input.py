"""Bad input: a refusal or a failed job with a code and a hint, and never a worker."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import recordings
from daemon_under_test import MEMO, DaemonUnderTest, a_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonUnderTest]:
    with a_daemon() as running:
        for role in ("transcriber", "aligner"):
            running.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        before = [worker["pid"] for worker in running.get("/v1/status")["workers"]]
        yield running
        after = [worker["pid"] for worker in running.get("/v1/status")["workers"]]
        assert after == before, "no bad input costs a worker"


def junk(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def playlist(path: Path) -> None:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{MEMO}\n#EXT-X-ENDLIST\n")


def thirteen_hours(path: Path) -> None:
    recordings.long_silence(path, hours=13)


FAILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "junk.mp3": (junk, "not_media"),
    "playlist.mp3": (playlist, "not_media"),
    "long.flac": (thirteen_hours, "too_long"),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_file_that_is_no_recording_fails_with_a_code_and_a_hint(daemon: DaemonUnderTest, name: str) -> None:
    make, code = FAILS[name]
    path = daemon.home / name
    make(path)
    job = daemon.finished(daemon.submit(path))
    assert job["status"] == "failed"
    assert job["error"]["code"] == code
    assert job["error"]["message"] and job["error"]["hint"]


def made_by_another(link: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a link to another user")
    link.symlink_to(MEMO)
    os.lchown(link, 54_321, 54_321)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "not_found"),
    "folder": (lambda path: path.mkdir(), "is_a_directory"),
    "empty": (lambda path: path.touch(), "empty_file"),
    "fifo": (lambda path: os.mkfifo(path), "not_a_regular_file"),
    "link to itself": (lambda path: path.symlink_to(path), "is_a_symlink"),
    "link to nowhere": (lambda path: path.symlink_to("/nowhere/at/all"), "not_found"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "not_a_regular_file"),
    "link of another user": (lambda path: made_by_another(path), "is_a_symlink"),
    "socket": (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "not_a_regular_file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_regular_file_is_refused_at_once(daemon: DaemonUnderTest, name: str) -> None:
    make, code = REFUSED[name]
    path = daemon.home / f"{name}.wav"
    make(path)
    answer = daemon.post("/v1/jobs", {"path": str(path)})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["hint"]


@pytest.mark.parametrize(
    "name", ["new\nline.flac", "-rf.flac", "a" * 250 + ".flac", "ünïcödé 録音 %s {x}.flac", "quote'\"$(id)`.flac"]
)
def test_odd_names_are_only_names(daemon: DaemonUnderTest, name: str) -> None:
    path = daemon.home / name
    path.write_bytes(MEMO.read_bytes())
    job = daemon.finished(daemon.submit(path))
    assert job["status"] == "done"
    assert all(Path(output).is_file() for output in job["outputs"].values())


def test_a_truncated_recording_gives_what_is_left_of_it(daemon: DaemonUnderTest) -> None:
    path = daemon.home / "cut.flac"
    path.write_bytes(MEMO.read_bytes()[: MEMO.stat().st_size // 2])
    job = daemon.finished(daemon.submit(path))
    assert job["status"] == "done"
    assert 2 < job["audio_seconds"] < 12.6


def test_silence_gives_an_empty_transcript_and_no_invented_sentence(daemon: DaemonUnderTest) -> None:
    path = daemon.home / "silence.wav"
    recordings.wav(path, recordings.silence(30))
    job = daemon.finished(daemon.submit(path))
    transcript = daemon.transcript(job)
    assert job["status"] == "done"
    assert job["degraded_reason"] is None
    assert (transcript["text"], transcript["segments"], transcript["no_speech"]) == ("", [], True)


def test_requests_that_make_no_sense_are_refused_by_name(daemon: DaemonUnderTest) -> None:
    with daemon.client() as client:
        for body in (b"{not json", b"[]", b'{"path": "/x", "colour": "red"}', b'{"path": "relative.wav"}'):
            answer = client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500
            assert answer.json()["code"] and answer.json()["hint"]
        assert client.get("/v1/jobs/999").status_code == 404
        assert client.get("/v1/nothing").json()["code"]
