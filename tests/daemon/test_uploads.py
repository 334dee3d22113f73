"""Recordings that come over HTTP, and what becomes of them when the client, a worker or the daemon goes away."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon
from eventually import eventually

SLOW = {"FAKE_CHUNK_SECONDS": "5", "STENO_MODEL": "pace=0.2"}
QUICK = {"FAKE_CHUNK_SECONDS": "5"}
AUDIO = "/v1/audio/transcriptions"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def a_door(more: str = "", **environment: str) -> Iterator[tuple[DaemonUnderTest, httpx.Client]]:
    """A daemon with a TCP listener, and a client with its token."""
    port = free_port()
    with a_daemon(f'[http]\nlisten = "127.0.0.1:{port}"\n{more}', **{**QUICK, **environment}) as daemon:
        token = (daemon.home / "state" / "http-token").read_text().strip()
        assert (daemon.home / "state" / "http-token").stat().st_mode & 0o777 == 0o600
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}, timeout=60
        ) as client:
            yield daemon, client
            nothing_is_left(daemon)


def nothing_is_left(daemon: DaemonUnderTest) -> None:
    eventually(lambda: not uploads(daemon), 10, f"no upload is left: {uploads(daemon)}")
    assert daemon.get("/v1/jobs") == []


def uploads(daemon: DaemonUnderTest) -> list[Path]:
    folder = daemon.home / "state" / "uploads"
    return list(folder.iterdir()) if folder.exists() else []


def send(client: httpx.Client, recording: Path = MEMO, **fields: Any) -> httpx.Response:
    return client.post(AUDIO, files={"file": (recording.name, recording.read_bytes())}, data=fields)


def test_a_recording_is_transcribed_and_nothing_of_it_is_kept() -> None:
    with a_door() as (_, client):
        answer = send(client, response_format="verbose_json", **{"timestamp_granularities[]": "word"})
        assert answer.status_code == 200
        told = answer.json()
        assert (told["language"], told["task"]) == ("english", "transcribe")
        assert [word["word"] for word in told["words"]] == told["text"].split()
        assert "segments" not in told


def test_text_streams_in_pieces_that_are_the_whole_text() -> None:
    with (
        a_door(**SLOW) as (_, client),
        client.stream("POST", AUDIO, files={"file": TALK.read_bytes()}, data={"stream": "true"}) as answer,
    ):
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    deltas = [event["delta"] for event in events if event["type"] == "transcript.text.delta"]
    assert len(deltas) > 3
    assert events[-1]["type"] == "transcript.text.done"
    assert "".join(deltas) == events[-1]["text"]


def test_the_same_upload_twice_at_once_is_one_job() -> None:
    with a_door(**SLOW) as (daemon, client):
        answers: list[httpx.Response] = []
        both = [threading.Thread(target=lambda: answers.append(send(client, TALK))) for _ in range(2)]
        for one in both:
            one.start()
        eventually(lambda: len(daemon.get("/v1/jobs")) == 1)
        for one in both:
            one.join(60)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        assert {answer.headers["x-request-id"] for answer in answers} == {"job-1"}


@pytest.mark.parametrize("role", ["transcriber", "aligner"])
def test_a_worker_that_crashes_costs_the_request_nothing(role: str) -> None:
    words = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    with a_door(**SLOW, STENO_ALIGNMENT_MODEL="pace=0.15") as (daemon, client):
        undisturbed = send(client, TALK, **words).json()
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(send(client, TALK, **words)))
        asking.start()
        daemon.kill_worker(role, signal.SIGSEGV)
        asking.join(60)
        assert answers[0].status_code == 200
        assert answers[0].json() == undisturbed


def test_a_client_that_comes_back_finds_its_job() -> None:
    with a_door(**SLOW) as (_, client):
        with pytest.raises(httpx.ReadTimeout):
            client.post(AUDIO, files={"file": TALK.read_bytes()}, timeout=httpx.Timeout(60, read=0.8))
        assert send(client, TALK).headers["x-request-id"] == "job-1"


def test_an_upload_that_breaks_off_leaves_nothing() -> None:
    with a_door() as (daemon, client):
        url, token = client.base_url, client.headers["authorization"]
        for size in (0, 10, 5_000, 100_000):
            with socket.create_connection((url.host, url.port or 80)) as raw:
                head = f"POST {AUDIO} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: {token}\r\n"
                kind = "Content-Length: 900000\r\nContent-Type: multipart/form-data; boundary=b"
                raw.sendall(f"{head}{kind}\r\n\r\n".encode())
                raw.sendall(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(size))
        eventually(lambda: not uploads(daemon), 10)
        assert daemon.get("/v1/jobs") == []


def test_a_daemon_killed_during_an_upload_or_a_job_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_door(**SLOW) as (daemon, client):
        with pytest.raises(httpx.TransportError):
            thread = threading.Timer(1.0, daemon.kill)
            thread.start()
            send(client, TALK)
        assert uploads(daemon)
        (daemon.home / "state" / "uploads" / ".receiving-x").mkdir()
        daemon.start()
        eventually(lambda: len(uploads(daemon)) == 1, 10, "only the recording of the unfinished job is kept")
        answer = send(client, TALK)
        assert (answer.status_code, answer.headers["x-request-id"]) == (200, "job-1")


def test_without_the_token_only_the_open_endpoints_answer_and_those_only_if_the_owner_says_so() -> None:
    with a_door() as (_, client):
        del client.headers["authorization"]
        for path in (AUDIO, "/asr", "/v1/jobs"):
            assert client.post(path).status_code == 401
    with a_door("open_compat = true\n") as (_, client):
        del client.headers["authorization"]
        assert send(client).status_code == 200
        assert client.get("/v1/jobs").status_code == 401


def test_a_foreign_page_is_refused_before_its_upload_is_read() -> None:
    with a_door("open_compat = true\n") as (daemon, client):
        for headers in ({"host": "127.0.0.1.evil"}, {"origin": "http://evil.com"}, {"sec-fetch-site": "cross-site"}):
            answer = client.post(AUDIO, files={"file": MEMO.read_bytes()}, headers=headers)
            assert answer.status_code == 403
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert not uploads(daemon)


def test_a_listed_app_may_call_from_its_own_origin() -> None:
    with a_door('open_compat = true\norigins = ["app://obsidian.md"]\n') as (_, client):
        asked = {"origin": "app://obsidian.md", "access-control-request-method": "POST"}
        allowed = client.options(AUDIO, headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "app://obsidian.md"
        answer = client.post(AUDIO, files={"file": MEMO.read_bytes()}, headers={"origin": "app://obsidian.md"})
        assert answer.headers["access-control-allow-origin"] == "app://obsidian.md"


def test_kept_uploads_answer_a_repeat_without_work_until_they_are_forgotten() -> None:
    with a_door('keep = "1h"\n') as (daemon, client):
        first, again = send(client), send(client)
        assert first.json() == again.json()
        assert again.headers["x-request-id"] == first.headers["x-request-id"] == "job-1"
        with daemon.client() as own:
            assert own.delete("/v1/jobs/1").status_code == 204
        daemon.stop()
        daemon.start()
        eventually(lambda: not uploads(daemon), 10)


def test_subtitle_programs_get_the_subtitle_or_an_empty_body() -> None:
    with a_door("open_compat = true\n") as (_, client):
        samples = {"audio_file": ("audio_file", bytes(range(256)) * 2500)}
        answer = client.post("/asr?task=transcribe&language=en&output=srt&encode=false", files=samples)
        assert answer.status_code == 200
        assert answer.text.startswith("1\n00:00:0")
        broken = client.post("/asr?output=srt", files={"audio_file": b"this is no sound"})
        assert (broken.status_code, broken.content) == (400, b"")
        found = client.post("/detect-language?encode=false&video_file=/film.mkv", files=samples).json()
        assert (found["detected_language"], found["language_code"]) == ("english", "en")


def test_a_port_that_is_taken_is_refused_with_the_setting_s_name() -> None:
    with a_door() as (daemon, client):
        config = (daemon.home / "config.toml").read_text()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon.stop()
            port = str(taken.getsockname()[1])
            (daemon.home / "config.toml").write_text(config.replace(str(client.base_url.port), port))
            daemon.launch()
            assert daemon.process is not None
            assert daemon.process.wait(30) == os.EX_CANTCREAT
            assert "http.listen: cannot listen at" in daemon.log.read_text()
            assert not daemon.socket.exists()
        (daemon.home / "config.toml").write_text(config)
        daemon.start()


def test_a_short_upload_is_answered_while_a_long_recording_is_transcribed() -> None:
    with a_door(FAKE_CHUNK_SECONDS="2", STENO_MODEL="pace=0.3") as (daemon, client):
        long = daemon.submit(daemon.own(TALK))
        eventually(lambda: any(one["phase"] == "transcribing" for one in daemon.get("/v1/status")["running"]))
        assert send(client, MEMO).status_code == 200
        assert daemon.job(long)["status"] == "transcribing"
        assert daemon.finished(long)["status"] == "done"
        with daemon.client() as owner:
            owner.delete(f"/v1/jobs/{long}").raise_for_status()
