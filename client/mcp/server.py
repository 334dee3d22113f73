"""The tools as a server of the Model Context Protocol, on stdin and stdout.

Runs in: a process that an agent's host starts. Stands alone: only this file imports the SDK `mcp`, which the extra
`stenod[mcp]` installs.
"""

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
        server.tool(annotations=hints, structured_output=False)(refusing(tool))
    return server


def refusing(tool: Callable[..., str]) -> Callable[..., str]:
    """The tool, whose refusal is an error of the tool with our message and hint. The SDK calls it in a thread."""

    @wraps(tool)
    def called(**arguments: Any) -> str:
        try:
            return tool(**arguments)
        except StenodError as error:
            raise ToolError(error.in_full) from error

    return called
