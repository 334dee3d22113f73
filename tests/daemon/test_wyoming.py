"""The Wyoming listener as Home Assistant meets it: the library's own client, and clients that mean harm."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon_under_test import MEMO, DaemonUnderTest, a_daemon
from eventually import eventually
from recordings import voice
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

RATE = 16_000
SECONDS = 20.0
FORMAT = {"rate": RATE, "width": 2, "channels": 1}


HARMFUL = (
    b"\n",
    b"{}\n",
    b"[]\n",
    b"\xff\xfe\n",
    b"x" * 100_000 + b"\n",
    b'{"type": "describe", "data_length": 99999999}\n',
    b'{"type": "audio-chunk", "payload_length": 99999999}\n',
    b'{"type": "audio-chunk", "payload_length": -1}\n',
    b'{"type": "audio-chunk", "payload_length": "5"}\nabcde',
    b'{"type": "audio-start", "data": {"rate": 16000}}\n',
    b'{"type": "audio-start", "data": {"rate": 1e99, "width": 2, "channels": 1}}\n',
    b'{"type": "audio-start", "data": {"rate": 16000, "width": 200, "channels": 1}}\n',
    b'{"type": "transcribe", "data": {"language": 5}}\n{"type": "audio-chunk", "data": {"rate": 16000, "width": 2, '
    b'"channels": 1}, "payload_length": 4}\nabcd{"type": "audio-stop"}\n',
    b'{"type": "describe", "data": ' + b"[" * 5_000 + b"]" * 5_000 + b"}\n",
)


@asynccontextmanager
async def a_listener(more: str = "", **environment: str) -> AsyncIterator[tuple[DaemonUnderTest, str]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        uri = f"tcp://127.0.0.1:{one.getsockname()[1]}"
    settings = {"FAKE_CHUNK_SECONDS": "5", **environment}
    with a_daemon(f'[wyoming]\nlisten = "{uri}"\n{more}', **settings) as daemon:
        yield daemon, uri
        uploads = daemon.home / "state" / "uploads"
        eventually(lambda: not (uploads.exists() and list(uploads.iterdir())), 10, "no upload is left")
        assert daemon.get("/v1/jobs") == []


async def answer_of(client: AsyncClient, *kinds: type) -> list[Event]:
    """All events until the server closes, or one of these kinds came."""
    found: list[Event] = []
    async with asyncio.timeout(SECONDS):
        while (event := await client.read_event()) is not None:
            found.append(event)
            if any(kind.is_type(event.type) for kind in kinds):
                break
    return found


async def speak(client: AsyncClient, pcm: bytes, wanted: Transcribe | None = None) -> None:
    await client.write_event((wanted or Transcribe(language="en")).event())
    await client.write_event(AudioStart(**FORMAT).event())
    for at in range(0, len(pcm), 2048):
        await client.write_event(AudioChunk(**FORMAT, audio=pcm[at : at + 2048]).event())
    await client.write_event(AudioStop().event())


def memo_pcm() -> bytes:
    return voice(MEMO).tobytes()


async def test_info_names_the_program_its_model_and_its_languages() -> None:
    async with a_listener() as (_, uri), AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        info = Info.from_event((await answer_of(client, Info))[-1])
        assert [program.name for program in info.asr] == ["stenod"]
        assert info.asr[0].installed
        assert info.asr[0].models[0].languages
        await client.write_event(Event("select-program", {"name": "stenod"}))
        await client.write_event(Event("something-new", {"x": 1}))
        await client.write_event(Ping(text="here?").event())
        assert Pong.from_event((await answer_of(client, Pong))[-1]).text == "here?"


async def test_a_command_becomes_its_text_in_pieces_and_whole() -> None:
    async with a_listener() as (_, uri), AsyncClient.from_uri(uri) as client:
        await speak(client, memo_pcm(), Transcribe(language="en-US", transcript_names=["Käthe"]))
        events = await answer_of(client)
        assert [event.type for event in events if event.type != "transcript-chunk"] == [
            "transcript-start",
            "transcript-stop",
            "transcript",
        ]
        pieces = [TranscriptChunk.from_event(event).text for event in events if TranscriptChunk.is_type(event.type)]
        assert "".join(pieces) == Transcript.from_event(events[-1]).text != ""


async def test_a_command_without_sound_is_an_empty_text() -> None:
    async with a_listener() as (_, uri), AsyncClient.from_uri(uri) as client:
        await speak(client, b"")
        assert Transcript.from_event((await answer_of(client, Transcript))[-1]).text == ""


async def test_a_client_that_leaves_in_the_middle_leaves_nothing() -> None:
    async with a_listener() as (daemon, uri):
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(AudioStart(**FORMAT).event())
            await client.write_event(AudioChunk(**FORMAT, audio=bytes(9_000)).event())
        assert daemon.get("/v1/status")["queue"]["waiting"] == 0


async def test_bytes_that_are_no_event_end_the_connection_and_nothing_else() -> None:
    async with a_listener() as (daemon, uri):
        host, _, port = uri.removeprefix("tcp://").partition(":")
        for sent in HARMFUL:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            async with asyncio.timeout(SECONDS):
                answer = await reader.read()
            writer.close()
            assert json.loads(answer.splitlines()[0])["type"] == "error", sent[:80]
            assert daemon.answers()
        assert "Traceback" not in daemon.log.read_text()


async def test_a_command_that_is_too_long_is_refused() -> None:
    async with a_listener("most_audio_seconds = 2\n") as (_, uri), AsyncClient.from_uri(uri) as client:
        await client.write_event(AudioStart(**FORMAT).event())
        for _ in range(3):
            await client.write_event(AudioChunk(**FORMAT, audio=bytes(2 * RATE)).event())
        events = await answer_of(client)
        assert events[-1].type == "error"
        assert events[-1].data["code"] == "audio_too_long"
