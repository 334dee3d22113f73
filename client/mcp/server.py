"""The tools as a server of the Model Context Protocol, on stdin and stdout.

Runs in: a process that an agent's host starts. Stands alone: only this file imports the SDK `mcp`, which the extra
`stenod[mcp]` installs.
"""

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from client.daemon import here
from client.mcp.tools import UNTRUSTED, Tools
from ipc.errors import StenodError

INSTRUCTIONS = f"Transcribes recordings on this computer and finds what was said in them. {UNTRUSTED}"


def serve(tools: Tools) -> None:
    """Until stdin ends."""
    server_of(tools).run("stdio")


def server_of(tools: Tools) -> MCPServer[Any]:
    """All tools; only `transcribe` changes anything."""
    server: MCPServer[Any] = MCPServer(
        name="stenod", instructions=INSTRUCTIONS, version=here.version(), log_level="WARNING"
    )
    adds = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for tool in (tools.transcribe, tools.job, tools.transcript, tools.search, tools.recent, tools.status):
        hints = adds if tool == tools.transcribe else reads
        server.tool(annotations=hints, structured_output=False)(in_a_thread(tool))
    return server


def in_a_thread(tool: Callable[..., str]) -> Callable[..., Any]:
    """The tool without holding up others; a refusal is an error of the tool, with our hint."""

    @wraps(tool)
    async def called(**arguments: Any) -> str:
        try:
            return await asyncio.to_thread(tool, **arguments)
        except StenodError as no:
            raise ToolError(no.in_full) from no

    return called
