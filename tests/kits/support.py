"""What several test modules share: one server, and every scheme to serve it at."""

import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from mcp.server import MCPServer, Server

import mcpc
from mcpc.framing import Connection
from mcpc.transport import FrameChannel, Peer

HERE = Path(__file__).parent

TEMPLATES = {
    "memory": "memory://{name}",
    "stdio": "stdio:{python} {here}/stdio_server.py",
    "unix": "unix://{tmp}/{name}.sock",
    "tcp": "tcp://127.0.0.1:0",
    "ws": "ws://127.0.0.1:0/mcp",
    "wss": "wss://localhost:0/mcp",
    "http": "http://127.0.0.1:0/mcp",
    "https": "https://localhost:0/mcp",
    "sse+http": "sse+http://127.0.0.1:0/sse",
    "sse+https": "sse+https://localhost:0/sse",
}
"""One address to serve for each built-in scheme; stdio's is dialled instead."""

OBJECT = "object"
"""Not a scheme: a client of ours is given the server itself."""

ASYNCIO_ONLY = frozenset(("http", "https", "sse+http", "sse+https"))
"""Schemes whose listeners need asyncio (uvicorn does)."""


def make_server(**limits: Any) -> MCPServer[Any]:
    """A server with background tools of each kind, and an ordinary one."""
    server = MCPServer[Any]("test-server", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, **limits)

    @callbacks.tool()
    async def count(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """Send n updates."""
        for i in range(n):
            await task.update({"status": f"step {i + 1}/{n}", "progress": i + 1, "total": n})
        return {"rows": n}

    @callbacks.tool()
    def count_in_thread(n: int, task: mcpc.SyncTask) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """Send n updates from a thread."""
        for i in range(n):
            task.update({"progress": i + 1})
        return {"rows": n}

    @callbacks.tool()
    async def fail(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        """Fail after one update."""
        await task.update("about to fail")
        raise ValueError("no such row")

    @callbacks.tool()
    async def wait_for_input(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        """Collect inputs until one is "done"; each is echoed as an update."""
        got: list[Any] = []
        await task.update("ready")
        async for value in task.inputs():
            if value == "done":
                break
            got.append(value)
            await task.update({"got": value})
        return got

    @callbacks.tool()
    async def ask(task: mcpc.Task, question: str = "which one?") -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Ask the caller."""
        return {"answer": await task.ask(question, choices=["a", "b"])}

    @server.tool()
    def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction]
        """Add two numbers."""
        return a + b

    return server


class PlainEndpoint:
    """The SDK's server behind one of our listeners, with no MCPC in play."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self.server: Server[Any] = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        async with Connection(channel, side="server").open() as connection:
            await self.serve_streams(*connection.streams, peer)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        await self.server.run(read, write, self.server.create_initialization_options())


@dataclass
class Served:
    """Where a server is, and the options to dial it with."""

    uri: Any
    options: dict[str, Any]


class Certificates:
    """A certificate authority for one test run, and contexts for both sides."""

    def __init__(self) -> None:
        authority: Any = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


@asynccontextmanager
async def serving(
    scheme: str, tmp_path: Path, server: Any = None, certificates: Certificates | None = None, **options: Any
) -> AsyncGenerator[Served]:
    """Serve a server at an address of `scheme`. For stdio the client spawns it, so only its address is given."""
    if scheme == OBJECT:
        yield Served(server if server is not None else make_server(), {})
        return
    uri = TEMPLATES[scheme].format(name="s", tmp=tmp_path, python=sys.executable, here=HERE)
    if scheme == "stdio":
        yield Served(uri, {})
        return
    client_options: dict[str, Any] = {}
    if scheme in ("wss", "https", "sse+https"):
        assert certificates is not None
        options["ssl_context"] = certificates.server
        client_options["ssl_context"] = certificates.client
    async with mcpc.listen(server if server is not None else make_server(), uri, **options) as listener:
        yield Served(listener.uri, client_options)
