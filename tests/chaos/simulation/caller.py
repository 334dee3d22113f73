"""Who asks the daemon of the virtual day over its socket, and which answers are right.

Runs in: the virtual day's process.
"""

import asyncio
from pathlib import Path

import httpx

from chaos.simulation.findings import Found

EXPECTED = {200, 201, 400, 404, 409, 503, 507}
"""400: its disk is away; 409: too late, or too early; 503 and 507: the disk is full."""
ANSWER_SECONDS = 2700.0
"""The longest answer takes some minutes, and the machine may sleep for half an hour meanwhile."""


class Caller:
    """A new connection for every request."""

    def __init__(self, socket: Path, found: Found) -> None:
        self._socket = socket
        self._found = found

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Notes an answer that is none of the right ones. Raises httpx.HTTPError."""
        socket = httpx.AsyncHTTPTransport(uds=str(self._socket), verify=False)
        async with httpx.AsyncClient(transport=socket, base_url="http://steno", timeout=ANSWER_SECONDS) as client:
            answer = await client.request(method, path, json=body)
        self._found.expect(
            answer.status_code in EXPECTED, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        )
        return answer

    async def ask_until_taken(self, path: str, body: object = None) -> httpx.Response:
        """While the disk is full, no is the right answer. Raises httpx.HTTPError."""
        while True:
            answer = await self.ask("POST", path, body)
            if answer.is_success:
                return answer
            await asyncio.sleep(60)
