"""The Wyoming listener, and its announcement in the local network.

Runs in: supervisor.
"""

import asyncio
import ipaddress
import socket
from contextlib import suppress

import psutil
import structlog
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from config.field_types import is_loopback, listen_address
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.api.wyoming.conversation import Conversation, Offer
from supervisor.api.wyoming.events import MOST_LINE_BYTES
from supervisor.system.reload import LiveSettings

MOST_CONNECTIONS = 32
SERVICE_TYPE = "_wyoming._tcp.local."
ANNOUNCE_SECONDS = 10.0
"""Deadline of the announcement, and of its withdrawal."""

log = structlog.get_logger()


async def serve_wyoming(
    jobs: UploadJobs, listener: socket.socket, offer: Offer, settings: LiveSettings, *, stop: asyncio.Event
) -> None:
    """Serves on `listener` until `stop` is set; then its connections end immediately."""
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(conversations) >= MOST_CONNECTIONS:
                log.warning("connection_refused", connections=len(conversations))
                return
            conversations.add(task)
            most_seconds = settings.current.wyoming.most_audio_seconds
            with suppress(asyncio.CancelledError):
                await Conversation(jobs, offer, most_seconds, reader, writer).run()
        finally:
            conversations.discard(task)
            writer.close()

    server = await asyncio.start_server(converse, sock=listener, limit=MOST_LINE_BYTES)
    announcement = await _announce(listener, settings)
    try:
        await stop.wait()
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        if announcement is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(announcement.async_close(), 1.0)


async def _announce(listener: socket.socket, settings: LiveSettings) -> AsyncZeroconf | None:
    """Tells the local network, if the owner wants it and the address is one of that network."""
    wyoming = settings.current.wyoming
    address = (wyoming.listen or "").removeprefix("tcp://")
    if not wyoming.announce or is_loopback(address):
        return None
    name = socket.gethostname().partition(".")[0] or "stenod"
    info = ServiceInfo(
        SERVICE_TYPE,
        f"stenod-{name}.{SERVICE_TYPE}",
        port=listener.getsockname()[1],
        parsed_addresses=addresses_of(listen_address(address)[0]),
        server=f"{name}.local.",
    )
    zeroconf = AsyncZeroconf()
    try:
        await asyncio.wait_for(zeroconf.async_register_service(info), ANNOUNCE_SECONDS)
    except (TimeoutError, OSError) as error:
        log.warning("not_announced", error=str(error) or "the network did not answer")
    return zeroconf


def addresses_of(host: str) -> list[str]:
    """The addresses under which other computers reach a listener at `host`."""
    if not ipaddress.ip_address(host).is_unspecified:
        return [host]
    found = [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET
    ]
    return [address for address in found if not ipaddress.ip_address(address).is_loopback]
