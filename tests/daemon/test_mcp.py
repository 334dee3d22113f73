"""`steno mcp` as an agent's host meets it: the SDK's own client over stdio, both generations of the protocol."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pytest
from daemon_under_test import MEMO, TALK, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import tone, wav

from client.terminal import exit_codes

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters

ROOT = Path(__file__).parents[2]
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
        if name in ("transcribe", "job", "transcript", "search"):
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
        with daemon.client() as http:
            written = http.get(f"/v1/jobs/{number}/transcript", params={"format": "srt"}).text
        assert (await call(client, "transcript", job_id=number, format="srt")).split() == written.split()
        assert json.loads((await call(client, "transcript", job_id=number, format="json")).splitlines()[0])["words"]
        assert f"job {number}, 0:00:0" in await call(client, "search", query=" ".join(words[:3]).upper())
        assert "was not found" in await call(client, "search", query="xylophone")
        assert str(path) in await call(client, "recent", folder=str(daemon.home))
        assert await call(client, "recent", folder="/nowhere") == "no jobs"
        assert '"transcriber"' in await call(client, "status")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_long_recording_is_asked_for_by_its_number(
    daemon: DaemonUnderTest, mode: Literal["auto", "legacy"]
) -> None:
    """Twenty minutes; its text does not fit in one answer, and is read to its end by the notes about the rest."""
    path = wav(daemon.home / f"{mode}.wav", np.tile(tone(5, 8000), 240), rate=8000)
    async with agent(daemon, mode) as client:
        told = await call(client, "transcribe", path=str(path), wait_seconds=2)
        assert "is still running" in told
        assert "%; call `job` with " in told
        number = int(told.split()[1])
        told = await call(client, "job", job_id=number, wait_seconds=45)
        assert f"job {number} is done" in told
        lines, at = [], 0.0
        while True:
            page = await call(client, "transcript", job_id=number, from_seconds=at, max_chars=2000)
            assert len(page) < 2200
            *more, last = page.splitlines()
            lines += more
            if not last.startswith("(cut: "):
                break
            at = float(last.removesuffix(")").partition("from_seconds=")[2])
        assert [line.split("]")[0] for line in [*lines, last]] == [
            f"[0:{second // 60:02d}:{second % 60:02d}" for second in range(0, 1200, 5)
        ]


async def test_a_wait_holds_up_no_other_call_and_leaves_no_connection(daemon: DaemonUnderTest) -> None:
    path = wav(daemon.home / "waited.wav", np.tile(tone(5, 8000), 240), rate=8000)
    async with agent(daemon) as client:
        number = int((await call(client, "transcribe", path=str(path), wait_seconds=0)).split()[1])
        before = len(psutil.Process(daemon.pid).net_connections("unix"))
        waits = [asyncio.create_task(call(client, "job", job_id=number, wait_seconds=3)) for _ in range(8)]
        assert '"transcriber"' in await asyncio.wait_for(call(client, "status"), 2)
        assert all("is still running" in told for told in await asyncio.gather(*waits))
        eventually(
            lambda: len(psutil.Process(daemon.pid).net_connections("unix")) <= before, 5, "the streams are closed"
        )
        daemon.post(f"/v1/jobs/{number}/cancel")
        told = await call(client, "job", job_id=number, wait_seconds=10)
    assert "was cancelled" in told
    assert f"`steno retry {number}`" in told


async def test_what_the_daemon_refuses_is_an_error_with_a_hint(daemon: DaemonUnderTest) -> None:
    async with agent(daemon) as client:
        assert (await call(client, "transcribe", path="/no/such/file")).startswith("error: ")
        assert "`steno jobs` lists them" in await call(client, "job", job_id=12345)
        assert "is not a language" in await call(client, "transcribe", path=str(MEMO), language="Klingonese")
        assert "no words" in await call(client, "search", query="  ")
        broken = daemon.home / "broken.wav"
        broken.write_bytes(b"no sound")
        assert "not a sound or video file" in await call(client, "transcribe", path=str(broken))


async def test_without_a_daemon_each_call_says_so() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5") as stopped:
        stopped.stop()
        async with agent(stopped) as client:
            assert "no daemon" in (await call(client, "status")).lower()
            # The same agent, once there is one.
            stopped.start()
            assert '"transcriber"' in await call(client, "status")


async def test_a_daemon_that_dies_during_a_wait_leaves_the_number_of_the_job() -> None:
    with a_daemon(FAKE_CHUNK_SECONDS="5", STENO_MODEL="pace=0.5") as dying:
        async with agent(dying) as client:
            number = int((await call(client, "transcribe", path=str(dying.own(TALK)), wait_seconds=0)).split()[1])
            waiting = asyncio.create_task(call(client, "job", job_id=number, wait_seconds=30))
            await asyncio.sleep(1)
            dying.stop()
            told = await asyncio.wait_for(waiting, 10)
            assert told.startswith("error: ")
            assert f"job {number} is kept" in told
            dying.start()
            assert f"job {number} is done" in await call(client, "job", job_id=number, wait_seconds=40)


def test_without_the_extra_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from client.steno import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, "mcp"], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert ended.returncode == exit_codes.USAGE
    assert ended.stdout == ""
    assert "stenod[mcp]" in ended.stderr
    assert "Traceback" not in ended.stderr
