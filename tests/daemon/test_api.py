"""The API as a client meets it: a real socket, a real uvicorn, and a desk in memory behind it.

Runs in: the test process.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eventually import eventually_async
from running_api import CREATED, DeskInMemory, RunningApi

from client.daemon import connection
from ipc.api_messages import JobView, SubmitFile
from ipc.events import DaemonEvent, QueuePaused
from supervisor.api import server as api_server
from supervisor.api.app import live, server_sent
from supervisor.api.server import OwnersConnection


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as name:
        yield Path(name) / "run"


@pytest.fixture
async def daemon(folder: Path) -> AsyncIterator[RunningApi]:
    async with RunningApi(folder / "stenod.sock")() as running:
        yield running


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code, after checking that the answer is a problem a person can use."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    assert told["hint"]
    return answer.status_code, told["code"]


# --- requests --------------------------------------------------------------------------------------------------


async def test_a_submitted_file_reaches_the_desk_with_its_options_and_comes_back_as_a_job(daemon: RunningApi) -> None:
    body = {"path": "/a\nb.wav", "options": {"language": "de", "formats": ["srt", "json"]}}
    answer = await daemon.client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["status"]) == (201, "waiting")
    assert daemon.desk.asked == [SubmitFile.model_validate(body)]
    listed = (await daemon.client.get("/v1/jobs", params={"status": "waiting", "limit": 5})).json()
    assert listed == [answer.json()] == [(await daemon.client.get("/v1/jobs/1")).json()]
    assert listed[0]["error"] is None  # every name is there, always: scripts rely on it


async def test_a_long_list_of_jobs_comes_in_pages_each_of_which_leads_to_the_next(
    daemon: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        daemon.desk.move(JobView(id=number + 1, path="/x", status="done", created_at="2026-01-01"))
    seen, url = [], "/v1/jobs?limit=3&status=done"
    while url:
        page = await daemon.client.get(url)
        seen.append([job["id"] for job in page.json()])
        url = page.links["next"]["url"] if page.links else ""
    assert seen == [[7, 6, 5], [4, 3, 2], [1]]
    assert (await daemon.client.get("/v1/jobs?before=1")).json() == []
    assert problem(await daemon.client.get("/v1/jobs?limit=1001")) == (422, "bad_request")
    monkeypatch.setattr(connection, "JOBS_PAGE", 2)
    asked = connection.DaemonClient(daemon.path)
    for most, found in [(100, 7), (7, 7), (5, 5), (1, 1)]:
        jobs = await asyncio.to_thread(asked.jobs, "done", most)
        assert [job.id for job in jobs] == [7, 6, 5, 4, 3, 2, 1][:found]


async def test_a_transcript_comes_as_the_text_it_is(daemon: RunningApi) -> None:
    answer = await daemon.client.get("/v1/jobs/7/transcript", params={"format": "vtt"})
    assert (answer.text, answer.headers["content-type"]) == ("7 as vtt: Grüße", "text/vtt; charset=utf-8")


async def test_a_folder_is_taken_off_by_its_path(daemon: RunningApi) -> None:
    assert (await daemon.client.get("/v1/watches")).json()[0]["path"] == "/in"
    assert (await daemon.client.request("DELETE", "/v1/watches", params={"path": "/in &?"})).status_code == 204
    assert daemon.desk.asked == ["/in &?"]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected", "told"),
    [
        ("GET", "/v1/nothing", None, (404, "no_such_endpoint"), "/v1/nothing"),
        ("GET", "/docs", None, (404, "no_such_endpoint"), "/docs"),
        ("PUT", "/v1/jobs", None, (405, "method_not_allowed"), "PUT"),
        ("GET", "/v1/jobs/99", None, (404, "no_such_job"), "99"),
        ("GET", "/v1/jobs/99/events", None, (404, "no_such_job"), "99"),
        ("GET", "/v1/jobs/none", None, (422, "bad_request"), "job_id"),
        ("GET", f"/v1/jobs/{2**63}", None, (422, "bad_request"), "job_id"),
        ("GET", "/v1/jobs/" + "9" * 5000, None, (422, "bad_request"), "job_id"),
        ("GET", "/v1/jobs?limit=0", None, (422, "bad_request"), "limit"),
        ("GET", "/v1/jobs?status=gone", None, (422, "bad_request"), "status"),
        ("GET", "/v1/jobs?staus=done", None, (422, "unknown_parameter"), "staus"),
        ("POST", "/v1/queue/pause?for=1h", None, (422, "unknown_parameter"), "for"),
        ("GET", "/v1/jobs/1/transcript?format=exe", None, (422, "bad_request"), "format"),
        ("POST", "/v1/workers/cook/restart", None, (422, "bad_request"), "role"),
        ("POST", "/v1/workers/aligner/restart", None, (409, "no_aligner"), "aligner"),
        ("POST", "/v1/workers/cook/unload", None, (422, "bad_request"), "role"),
        ("POST", "/v1/workers/aligner/unload", None, (409, "no_aligner"), "aligner"),
        ("POST", "/v1/jobs", b"{", (400, "bad_request"), "character"),
        ("POST", "/v1/jobs", b"", (422, "bad_request"), "required"),
        ("POST", "/v1/jobs", b"\xff\xfe", (400, "bad_request"), "JSON"),
        ("POST", "/v1/jobs", b"[" * 60_000, (400, "bad_request"), "/v1/jobs"),
        ("POST", "/v1/jobs", b"[]", (422, "bad_request"), "dict"),
        ("POST", "/v1/jobs", b"{}", (422, "bad_request"), "path"),
        ("POST", "/v1/jobs", b'{"path": 7}', (422, "bad_request"), "path"),
        ("POST", "/v1/jobs", b'{"path": ""}', (422, "bad_request"), "path"),
        ("POST", "/v1/jobs", b'{"path": "/a", "optoins": {}}', (422, "bad_request"), "optoins"),
        ("POST", "/v1/jobs", b'{"path": "/a", "options": {"f": 1}}', (422, "bad_request"), "options.f"),
        ("POST", "/v1/jobs", b'{"path": "/a", "options": {"language": "English"}}', (422, "bad_request"), "language"),
        ("POST", "/v1/jobs", b'{"path": "/a", "options": {"output_dir": "b"}}', (400, "path_not_absolute"), "output"),
        ("POST", "/v1/jobs", b'{"path": "/a\\u0000b"}', (422, "bad_request"), "NUL"),
        (
            "POST",
            "/v1/jobs",
            b'{"path": "/a", "options": {"prompt": "\\u0000"}}',
            (422, "bad_request"),
            "options.prompt",
        ),
        ("POST", "/v1/jobs", b'{"path": "/\\ud800"}', (422, "bad_request"), "path"),
        (
            "POST",
            "/v1/jobs",
            b'{"path": "/a", "options": {"output_dir": "/\\ud800"}}',
            (422, "bad_request"),
            "output_dir",
        ),
        ("POST", "/v1/jobs", b'{"path": "/a", "\\ud800": 1}', (422, "bad_request"), "unicode"),
        ("POST", "/v1/jobs", b'"' + b"x" * 70_000 + b'"', (413, "body_too_large"), "Large"),
        ("POST", "/v1/watches", b'{"path": "/\\u0000"}', (422, "bad_request"), "NUL"),
        ("DELETE", "/v1/watches?path=%00", None, (422, "bad_request"), "NUL"),
    ],
)
async def test_every_refusal_is_a_problem_that_names_what_was_wrong(
    daemon: RunningApi, method: str, path: str, body: bytes | None, expected: tuple[int, str], told: str
) -> None:
    answer = await daemon.client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert problem(answer) == expected
    assert told in answer.json()["detail"]
    assert daemon.desk.asked in ([], ["aligner"])


async def test_a_parameter_that_nobody_reads_is_refused_with_those_that_are(daemon: RunningApi) -> None:
    assert (await daemon.client.get("/v1/jobs?staus=done")).json()["hint"] == "it takes status, limit, before"
    assert (await daemon.client.get("/v1/status?verbose=1")).json()["hint"] == "it takes none"


async def test_a_form_is_told_to_come_as_json(daemon: RunningApi) -> None:
    answer = await daemon.client.post("/v1/jobs", data={"path": "/a"})
    assert problem(answer) == (422, "bad_request")
    assert "Content-Type: application/json" in answer.json()["hint"]


async def test_a_mistake_of_the_daemon_costs_one_request_and_tells_no_secrets(daemon: RunningApi) -> None:
    answer = await daemon.client.post("/v1/jobs", json={"path": "/explode"})
    assert problem(answer) == (500, "internal")
    assert "secret" not in answer.text
    assert (await daemon.client.get("/v1/health")).json()["healthy"] is True


async def test_a_body_without_a_stated_length_is_limited_too(daemon: RunningApi) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    answer = await daemon.client.post("/v1/jobs", content=endless(), headers={"content-type": "application/json"})
    assert problem(answer) == (413, "body_too_large")


# --- events ----------------------------------------------------------------------------------------------------


async def events_of(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The data of each server-sent event; heartbeats come as {}."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_a_jobs_stream_begins_with_how_it_stands_and_ends_when_it_is_finished(daemon: RunningApi) -> None:
    job = await daemon.desk.submit(SubmitFile(path="/a.wav"))
    other = await daemon.desk.submit(SubmitFile(path="/b.wav"))
    heard = []
    async with daemon.client.stream("GET", f"/v1/jobs/{job.id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        # The headers are here, so the subscription is: nothing published from now on may be missed.
        daemon.desk.move(other.model_copy(update={"status": "done"}))
        daemon.desk.move(job.model_copy(update={"status": "transcribing"}))
        daemon.desk.move(job.model_copy(update={"status": "done"}))
        async for event in events_of(answer):
            heard.append((event["kind"], event["job"]["id"], event["job"]["status"]))
    assert heard == [("job", 1, "waiting"), ("job", 1, "transcribing"), ("job", 1, "done")]


async def test_a_finished_jobs_stream_is_one_event(daemon: RunningApi) -> None:
    job = await daemon.desk.submit(SubmitFile(path="/a.wav"))
    daemon.desk.move(job.model_copy(update={"status": "failed"}))
    answer = await daemon.client.get("/v1/jobs/1/events")
    assert answer.text.startswith("event: job\ndata: {")
    assert answer.text.count("event:") == 1


async def test_everybodys_stream_tells_of_everything_and_forgets_who_left(daemon: RunningApi) -> None:
    async with daemon.client.stream("GET", "/v1/events") as answer:
        await daemon.client.post("/v1/queue/pause")
        await daemon.client.post("/v1/jobs", json={"path": "/a.wav"})
        events = events_of(answer)
        assert await anext(events) == {"kind": "queue", "paused": True}
        assert (await anext(events))["job"]["path"] == "/a.wav"
    await eventually_async(lambda: not daemon.desk.bus._listeners, what="the listener is forgotten")


async def test_a_silent_stream_has_a_heartbeat_and_loses_no_event_to_it() -> None:
    coming: asyncio.Queue[DaemonEvent] = asyncio.Queue()

    async def events() -> AsyncIterator[DaemonEvent]:
        while True:
            yield await coming.get()

    stop = asyncio.Event()
    stream = live(events(), stop, heartbeat_seconds=0.01)
    assert [await anext(stream), await anext(stream)] == [None, None]
    coming.put_nowait(QueuePaused(paused=True))
    assert [event async for event in first_and_stop(stream, stop)] == [QueuePaused(paused=True)]
    assert server_sent(None) == b": still here\n\n"


async def first_and_stop(
    stream: AsyncIterator[DaemonEvent | None], stop: asyncio.Event
) -> AsyncIterator[DaemonEvent]:
    async for event in stream:
        if event is not None:
            yield event
            stop.set()


def backlog_after_more_events(desk: DeskInMemory) -> int:
    """Publishes some large events; how many the better of the listeners has not been sent yet."""
    for _ in range(25):
        desk.move(JobView(id=1, path="/" + "x" * 4000, status="waiting", created_at=CREATED))
    return min(listener.events.qsize() for listener in desk.bus._listeners)


async def test_the_stop_takes_less_than_two_seconds_with_streams_open_and_deaf(folder: Path) -> None:
    async with RunningApi(folder / "stenod.sock")() as daemon:
        async with daemon.client.stream("GET", "/v1/events") as listening:
            _, deaf = await asyncio.open_unix_connection(str(daemon.path))
            deaf.write(b"GET /v1/events HTTP/1.1\r\nhost: steno\r\n\r\n")
            _, undecided = await asyncio.open_unix_connection(str(daemon.path))
            undecided.write(b"POST /v1/jobs HTTP/1.1\r\nhost: steno\r\ncontent-length: 9\r\n\r\n")
            await eventually_async(lambda: len(daemon.desk.bus._listeners) == 2)
            deaf.transport.pause_reading()  # type: ignore[attr-defined]
            await eventually_async(
                lambda: backlog_after_more_events(daemon.desk) > 200, what="both streams are stuck"
            )
            daemon.stop.set()  # RunningApi checks how long that takes
            async for _ in events_of(listening):  # and the good listener's stream has a clean end
                pass
        deaf.close()
        undecided.close()


# --- who may come, and how long they may dawdle --------------------------------------------------------------------


async def test_a_slow_request_is_ended_and_a_crowd_is_turned_away(
    daemon: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_server, "REQUEST_SECONDS", 0.1)
    assert b"408" in (await daemon.say(b""))
    assert b"too_slow" in (await daemon.say(b"GET /v1/health HTTP/1.1\r\nhost: st"))
    assert await daemon.say(b"POST /v1/jobs HTTP/1.1\r\nhost: s\r\ncontent-length: 99\r\n\r\n{") == b""
    monkeypatch.setattr(OwnersConnection, "most_connections", 0)
    assert b"too_many_connections" in await daemon.say(b"GET /v1/health HTTP/1.1\r\nhost: steno\r\n\r\n")


async def test_those_who_never_finish_asking_do_not_keep_out_those_who_do(
    daemon: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnersConnection, "most_connections", 3)
    async with daemon.client.stream("GET", "/v1/events") as stream:
        dawdlers = []
        for _ in range(5):
            reader, writer = await asyncio.open_unix_connection(str(daemon.path))
            writer.write(b"GET /v1/health HTTP/1.1\r\nhost: st")
            dawdlers.append((reader, writer))
        assert b" 200 " in await daemon.say(b"GET /v1/health HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n")
        assert await dawdlers[0][0].read() == b"", "the oldest had to go"
        await daemon.client.post("/v1/queue/pause")
        assert (await anext(events_of(stream)))["paused"] is True, "who asked for a stream has it"
        for _, writer in dawdlers:
            writer.close()


async def test_what_is_not_http_and_what_has_endless_headers_get_a_problem_and_no_more(daemon: RunningApi) -> None:
    assert b"application/problem+json" in await daemon.say(b"\x16\x03\x01 hello\r\n\r\n")
    assert b"bad_request" in await daemon.say(b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000)
    assert (await daemon.client.get("/v1/health")).status_code == 200


async def test_an_answer_may_take_its_time(daemon: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "REQUEST_SECONDS", 0.05)
    async with daemon.client.stream("GET", "/v1/events") as answer:
        await asyncio.sleep(0.15)
        await daemon.client.post("/v1/queue/pause")
        assert (await anext(events_of(answer)))["paused"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_users_process_is_turned_away_even_where_the_folder_lets_it_in(daemon: RunningApi) -> None:
    for wide in (daemon.path.parent.parent, daemon.path.parent, daemon.path):
        wide.chmod(0o777)
    somebody_else = textwrap.dedent(f"""
        import contextlib, os, socket
        os.setuid(54321)
        s = socket.socket(socket.AF_UNIX); s.connect({str(daemon.path)!r})
        with contextlib.suppress(BrokenPipeError):  # it may have hung up before we spoke
            s.sendall(b"GET /v1/health HTTP/1.1\\r\\nhost: steno\\r\\n\\r\\n")
        print(s.makefile("rb").read())
    """)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", somebody_else, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(child.communicate(), 20)
    assert b"403" in said
    assert b"not_yours" in said
    assert b"healthy" not in said


async def test_serving_leaves_no_descriptor_behind(folder: Path) -> None:
    before = open_descriptors()
    async with RunningApi(folder / "stenod.sock")() as daemon:
        for _ in range(20):
            await daemon.client.get("/v1/health")
    await eventually_async(lambda: open_descriptors() <= before)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())
