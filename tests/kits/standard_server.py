"""A server of which nothing is ours: the SDK's own, that asks its callers as each era allows.

As a program it serves itself over the SDK's stdio.
"""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from pydantic import BaseModel

COLOURS = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
PLACE = {"type": "object", "properties": {"city": {"type": "string"}, "floor": {"type": "integer"}}}


class Colour(BaseModel):
    """What the older era's tool wants to know."""

    colour: str


def standard_server() -> MCPServer[Any]:
    """A server of the SDK's, of which nothing is ours: it asks as each era allows."""
    server = MCPServer[Any]("standard", log_level="WARNING")

    @server.tool()
    async def paint(ctx: Context[Any, Any]) -> str | InputRequiredResult:  # pyright: ignore[reportUnusedFunction]
        """Ask for a colour, in the way of the caller's era."""
        if ctx.request_context.protocol_version == "2026-07-28":
            responses = ctx.input_responses
            if not responses:
                return asks(colour=("which colour?", COLOURS), place=("where?", PLACE))
            return " ".join(f"{key}={getattr(responses[key], 'content', None)}" for key in sorted(responses))
        outcome = await ctx.elicit("which colour?", Colour)
        return f"colour={outcome.data.colour}" if outcome.action == "accept" else outcome.action

    @server.tool()
    async def can_ask(ctx: Context[Any, Any]) -> bool:  # pyright: ignore[reportUnusedFunction]
        """Whether the caller said that it can be asked."""
        capabilities = ctx.session.client_capabilities
        return capabilities is not None and capabilities.elicitation is not None

    return server


def asks(**questions: tuple[str, dict[str, Any]]) -> InputRequiredResult:
    """A round of questions."""
    requests: Any = {
        key: ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))
        for key, (message, schema) in questions.items()
    }
    return InputRequiredResult(input_requests=requests, request_state="half done")


@asynccontextmanager
async def serving_with_uvicorn(app: Any) -> AsyncGenerator[str]:
    """An app of the SDK's, served; the address of its host. On asyncio only."""
    listening = socket.create_server(("127.0.0.1", 0))  # who dials before it serves waits in its queue
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    async with anyio.create_task_group() as group:
        group.start_soon(partial(server.serve, sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True


if __name__ == "__main__":
    standard_server().run("stdio")
