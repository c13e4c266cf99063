"""What the tests of both HTTP transports share: a small server, an endpoint for it, and ways to serve and call it."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.from_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream
from mcp import Client
from mcp.server import MCPServer, Server
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context

from mcpc.transport import FrameChannel, Listener, Peer
from mcpc.uri import dial, listen_at

Mode = Literal["auto", "legacy"]
modes = pytest.mark.parametrize("mode", ["auto", "legacy"])
asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """Nothing is logged as an error, in any test of a module that imports this."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


class SmallServer:
    """A server with a tool that adds, one that reports progress and one that blocks; and an endpoint that serves it."""

    def __init__(self) -> None:
        self.blocked = threading.Event()
        """Set once the tool `block` runs."""
        self.ended = threading.Event()
        """Set once it was cancelled."""
        self.release = threading.Event()
        """Set by a test, so that the tool `hold` ends."""
        self.announce: Callable[[], None] = self.blocked.set
        """Called once the tool `block` or `hold` runs."""
        self.lifespan_failure: Exception | None = None
        self.lifespan_gate: anyio.Event | None = None
        self.down = threading.Event()
        """Set once a `closable` listener has ended."""
        self.lifespans: list[str] = []
        self.peers: list[Peer] = []
        self.calls: list[str] = []
        self._mcp = MCPServer("small", lifespan=self._lifespan)
        self._mcp.add_tool(self.add)
        self._mcp.add_tool(self.count)
        self._mcp.add_tool(self.block)
        self._mcp.add_tool(self.repeat)
        self._mcp.add_tool(self.hold)

    @asynccontextmanager
    async def _lifespan(self, _: MCPServer[Any]) -> AsyncGenerator[None]:
        if self.lifespan_failure is not None:
            raise self.lifespan_failure
        if self.lifespan_gate is not None:
            await self.lifespan_gate.wait()
        self.lifespans.append("begun")
        try:
            yield
        finally:
            self.lifespans.append("ended")

    async def add(self, a: int, b: int) -> int:
        """The sum."""
        self.calls.append("add")
        return a + b

    async def count(self, to: int, context: Context[Any, Any]) -> str:
        """Reports progress up to a number."""
        for number in range(1, to + 1):
            await context.report_progress(number, to, "so far, so good; " * 50)
        return "counted"

    async def repeat(self, text: str, times: int) -> str:
        """A text, several times."""
        return text * times

    async def block(self) -> str:
        """Never ends."""
        self.announce()
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.set()
        return "never"

    async def hold(self) -> str:
        """Ends when it is released."""
        self.announce()
        await until(self.release)
        return "released"

    # --- the endpoint ---

    @property
    def server(self) -> Server[Any]:
        return self._mcp._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        raise AssertionError("HTTP carries no frames")

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        self.peers.append(peer)
        await self.server.run(read, write, self.server.create_initialization_options())

    def listen(self, uri: str, **options: Any) -> AbstractAsyncContextManager[Listener]:
        """Serve it in the running loop."""
        return listen_at(uri, self, **options)

    @contextmanager
    def served(self, uri: str, **options: Any) -> Generator[str]:
        """Serve it in a thread with a loop of its own (asyncio), whichever loop the test runs on."""
        with (
            anyio.from_thread.start_blocking_portal("asyncio") as portal,
            portal.wrap_async_context_manager(self.listen(uri, **options)) as listener,
        ):
            yield listener.uri


class Verifier:
    """Knows two tokens."""

    async def verify_token(self, token: str) -> AccessToken | None:
        known = {"secret-of-ann": "ann", "secret-of-bob": "bob"}
        name = known.get(token)
        return None if name is None else AccessToken(token=token, client_id="app", scopes=[], subject=name)


def dialled(uri: str, **options: Any) -> Any:
    """`dial`, for the SDK's `Client`: over HTTP it yields streams, never a frame channel."""
    return dial(uri, **options)


async def until(event: threading.Event) -> None:
    """Wait for what another thread sets."""
    await anyio.to_thread.run_sync(event.wait, 60, abandon_on_cancel=True)
    assert event.is_set()


@contextmanager
def scripted_server(
    answer: bytes | Callable[[bytes], bytes | None], heard: list[bytes] | None = None
) -> Generator[int]:
    """A server that says `answer` to whatever it hears, and hangs up where that is None. Yields its port."""

    async def converse(stream: SocketStream) -> None:
        # A client may have hung up at any moment, also between its bytes and our answer.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with stream:
                async for data in stream:
                    if heard is not None:
                        heard.append(data)
                    said = answer if isinstance(answer, bytes) else answer(data)
                    if said is None:
                        return
                    await stream.send(said)

    @asynccontextmanager
    async def serving() -> AsyncGenerator[int]:
        listening = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listening as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, converse)
            yield listener.extra(SocketAttribute.local_port)
            tasks.cancel_scope.cancel()

    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving()) as port,
    ):
        yield port


_CHILD = """
import sys
import anyio
from http_kit import SmallServer

async def main():
    server = SmallServer()
    server.announce = lambda: print("blocked", flush=True)
    async with server.listen(sys.argv[1]) as listener:
        print(listener.uri, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@contextmanager
def killable_server(uri: str) -> Generator[tuple[str, Callable[[], Awaitable[None]]]]:
    """A server in a process of its own; yields its address, and what kills it once the tool `block` runs."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, uri],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    output = child.stdout
    assert output is not None

    async def kill() -> None:
        assert await anyio.to_thread.run_sync(output.readline) == "blocked\n"
        child.kill()

    try:
        with output:
            yield output.readline().strip(), kill
    finally:
        child.kill()
        child.wait()


async def connect_to(uri: str, **options: Any) -> None:
    """Connect, expecting that it fails within a few seconds."""
    with anyio.fail_after(60):
        async with Client(dialled(uri, **options)):
            raise AssertionError("it connected")


async def add(client: Client) -> Any:
    result = await client.call_tool("add", {"a": 2, "b": 3})
    assert result.structured_content is not None
    return result.structured_content["result"]


@asynccontextmanager
async def closable(server: SmallServer, uri: str, **options: Any) -> AsyncGenerator[tuple[str, anyio.Event]]:
    """A listener that ends when the event is set: in bounded steps, whoever is still there."""
    stop, up = anyio.Event(), anyio.Event()
    found: list[str] = []

    async def run() -> None:
        async with server.listen(uri, **options) as listener:
            found.append(listener.uri)
            up.set()
            await stop.wait()
            begun = time.monotonic()
        assert time.monotonic() - begun < 60  # some 3 s by the clocks, and what a busy machine adds
        server.down.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await up.wait()
        yield found[0], stop


# --- messages ---

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def call(request_id: object = 1, tool: str = "add", *, mode: Mode = "auto", **arguments: Any) -> dict[str, Any]:
    """A `tools/call` as a client of 2026-07-28 sends it, or one of a session begun with `INITIALIZE`."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments or ({"a": 2, "b": 3} if tool == "add" else {})}
    if mode == "auto":
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


DEEP = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001

BAD = {
    "a fraction as the id": (json.dumps(call(1.5)).encode(), None),
    "null as the id": (json.dumps(call(None)).encode(), None),
    "true as the id": (json.dumps(call(request_id=True)).encode(), None),
    "a batch": (json.dumps([call()]).encode(), None),
    "an empty batch": (b"[]", None),
    "NaN": (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":NaN}}', 7),
    "a number out of range": (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":1e999}}', 7),
    "two ids": (b'{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}', 8),
    "no version": (b'{"id":7,"method":"ping"}', 7),
    "a number as the method": (b'{"jsonrpc":"2.0","id":7,"method":1}', 7),
    "a list as the params": (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}', 7),
    "text that is not UTF-8": (b'{"jsonrpc":"2.0","id":7,"method":"\xff\xfe"}', 7),
    "half an object": (b'{"jsonrpc":"2.0","id":7,', None),
    "a hundred thousand levels": (DEEP, 1),
    "nothing": (b"", None),
}
