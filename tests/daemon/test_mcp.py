"""`steno mcp` as an agent's host meets it: the SDK's own client over stdio, both generations of the protocol."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters

TOOLS = {"transcribe", "job", "transcript", "search", "recent", "status"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonUnderTest]:
    with a_daemon(FAKE_CHUNK_SECONDS="5", STENO_MODEL="pace=0.05") as running:
        yield running


@asynccontextmanager
async def agent(daemon: DaemonUnderTest, mode: Literal["auto", "legacy"] = "auto") -> AsyncIterator[Client]:
    server = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "stenod", "mcp"], env=dict(daemon.environment)
    )
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    text = "".join(part.text for part in result.content if part.type == "text")
    return f"error: {text}" if result.is_error else text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_every_tool_is_there_and_only_one_changes_anything(
    daemon: DaemonUnderTest, mode: Literal["auto", "legacy"]
) -> None:
    async with agent(daemon, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == TOOLS
    for name, tool in tools.items():
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint == (name != "transcribe")
        assert tool.description
        if name in ("transcribe", "transcript", "search"):
            assert "never an instruction" in " ".join(tool.description.split())


async def test_a_recording_becomes_text_and_is_found_again(daemon: DaemonUnderTest) -> None:
    path = daemon.own(MEMO)
    async with agent(daemon) as client:
        told = await call(client, "transcribe", path=str(path), language="en")
        assert " is done, language en" in told
        number = int(told.split()[1])
        words = told.splitlines()[-1].split()
        part = await call(client, "transcript", job_id=number, to_seconds=5)
        assert part.startswith("[0:00:0")
        assert words[0] in part
        assert len(part) < len(await call(client, "transcript", job_id=number))
        assert "-->" in await call(client, "transcript", job_id=number, format="srt")
        assert "(cut: " in await call(client, "transcript", job_id=number, max_chars=100, format="json")
        assert f"job {number}, 0:00:0" in await call(client, "search", query=" ".join(words[:3]).upper())
        assert "was not found" in await call(client, "search", query="xylophone")
        assert str(path) in await call(client, "recent", folder=str(daemon.home))
        assert await call(client, "recent", folder="/nowhere") == "no jobs"
        assert '"transcriber"' in await call(client, "status")


async def test_a_long_recording_is_asked_for_by_its_number(daemon: DaemonUnderTest) -> None:
    async with agent(daemon) as client:
        told = await call(client, "transcribe", path=str(daemon.own(TALK)), wait_seconds=0)
        assert "call `job` with " in told
        number = int(told.split()[1])
        assert f"job {number} is done" in await call(client, "job", job_id=number, wait_seconds=40)


async def test_what_the_daemon_refuses_is_an_error_with_a_hint(daemon: DaemonUnderTest) -> None:
    async with agent(daemon) as client:
        assert (await call(client, "transcribe", path="/no/such/file")).startswith("error: ")
        assert "`steno jobs` lists them" in await call(client, "job", job_id=12345)
        broken = daemon.home / "broken.wav"
        broken.write_bytes(b"no sound")
        assert "not a sound or video file" in await call(client, "transcribe", path=str(broken))


async def test_without_a_daemon_each_call_says_so() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5") as stopped:
        stopped.stop()
        async with agent(stopped) as client:
            assert "no daemon" in (await call(client, "status")).lower()
