"""Servers whose background workers use all that an ordinary tool may use, of the SDK and of FastMCP. As a program it
serves the kind that it is told on stdio.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.from_thread
from fastmcp import Context as FastMCPContext
from fastmcp import FastMCP
from fastmcp.dependencies import Depends
from fastmcp.server.dependencies import get_access_token as fastmcp_access_token
from fastmcp.server.dependencies import get_http_headers
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Resolve
from mcp_types import SamplingMessage, TextContent
from pydantic import BaseModel

import mcpc

__all__ = ["KINDS", "make_context_server"]


class Size(BaseModel):
    """The answer that is asked for."""

    size: str


@asynccontextmanager
async def life(server: Any) -> AsyncGenerator[dict[str, int]]:
    """The server's life: what it yields is there for every tool."""
    yield {"answer": 42}


async def tell_and_ask(ctx: Any) -> dict[str, Any]:
    """Say something in each way, then ask the user, the model and the program; what was answered."""
    await ctx.info("hello")
    await ctx.report_progress(1, 2, "half")
    asked = await ctx.elicit("which size?", Size)
    question = SamplingMessage(role="user", content=TextContent(type="text", text="which colour?"))
    sampled = await ctx.session.create_message([question], max_tokens=9)
    roots = (await ctx.session.list_roots()).roots
    return {"size": asked.data.size, "colour": sampled.content.text, "roots": [str(root.uri) for root in roots]}


def of_sdk() -> MCPServer[Any]:
    """The SDK's."""
    server = MCPServer[Any]("context", lifespan=life, log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server)

    async def team(ctx: Context[Any, Any]) -> str | None:
        return (ctx.headers or {}).get("x-team")

    def around(ctx: Context[Any, Any], team: str | None) -> dict[str, Any]:
        token = get_access_token()
        return {
            "client": token and token.client_id,
            "team": (ctx.headers or {}).get("x-team"),
            "answer": ctx.request_context.lifespan_context["answer"],
            "injected": team,
        }

    @callbacks.tool()
    async def on_loop(  # pyright: ignore[reportUnusedFunction]
        ctx: Context[Any, Any], task: mcpc.Task, injected: Annotated[str | None, Resolve(team)]
    ) -> dict[str, Any]:
        told = await tell_and_ask(ctx)
        return {**told, **around(ctx, injected)}

    @callbacks.tool()
    def in_thread(  # pyright: ignore[reportUnusedFunction]
        ctx: Context[Any, Any], task: mcpc.SyncTask, injected: Annotated[str | None, Resolve(team)]
    ) -> dict[str, Any]:
        told = anyio.from_thread.run(tell_and_ask, ctx)
        return {**told, **around(ctx, injected)}

    return server


class Database:
    """What is opened for one call."""

    def __init__(self) -> None:
        self.is_open = True


@asynccontextmanager
async def database() -> AsyncGenerator[Database]:
    """Open for as long as the call that it was opened for."""
    opened = Database()
    yield opened
    opened.is_open = False


def of_fastmcp() -> FastMCP[Any]:
    """FastMCP's."""
    server = FastMCP[Any]("context", lifespan=life)
    callbacks = mcpc.MCPCHelper(server)
    injected: Any = Depends(database)

    def around(ctx: FastMCPContext, opened: Database) -> dict[str, Any]:
        token = fastmcp_access_token()
        headers = get_http_headers()
        return {
            "client": token and token.client_id,
            "team": headers.get("x-team"),
            "answer": ctx.lifespan_context["answer"],
            "injected": headers.get("x-team") if opened.is_open else "closed",
        }

    @callbacks.tool()
    async def on_loop(ctx: FastMCPContext, task: mcpc.Task, opened: Database = injected) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        told = await tell_and_ask(ctx)
        return {**told, **around(ctx, opened)}

    @callbacks.tool()
    def in_thread(ctx: FastMCPContext, task: mcpc.SyncTask, opened: Database = injected) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        told = anyio.from_thread.run(tell_and_ask, ctx)
        return {**told, **around(ctx, opened)}

    return server


KINDS = {"MCPServer": of_sdk, "FastMCP": of_fastmcp}


def make_context_server(kind: str) -> Any:
    """A server of that kind."""
    return KINDS[kind]()


if __name__ == "__main__":
    mcpc.run(make_context_server(sys.argv[1]), "stdio:")
