"""Clients up to 2025-11-25 that go without a word: what they had open ends soon, and who comes back goes on."""

import json
import re
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from mcp.server import MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage
from starlette.types import Message, Receive, Scope, Send

import mcpc
from http_kit import quiet_log as quiet_log
from mcpc.wire.members import ARRIVED
from mcpc_transports.http import absence
from relay import relay_to

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

CHANNEL = "a channel of this test alone"
LISTEN: tuple[str, dict[str, Any]] = "mcpc/listen", {"channel": CHANNEL, "after": 0}
BLOCK: tuple[str, dict[str, Any]] = "tools/call", {"name": "block", "arguments": {}}
HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}


class Scene:
    """A server with a tool that blocks, and what became of it."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("host", log_level="CRITICAL")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()
        self.go_on = anyio.Event()
        self.server.add_tool(self.block)

    async def block(self) -> str:
        self.begun.set()
        try:
            await self.go_on.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        return "released"


@dataclass
class Client:
    """A client of the older era, by hand: a connection for each request."""

    port: int
    session: str = ""
    streams: list[anyio.abc.SocketStream] = field(default_factory=list[anyio.abc.SocketStream])

    async def request(self, number: int, method: str, params: Any = None) -> anyio.abc.SocketStream:
        """Post a request; the connection that its answer comes over."""
        body = {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}
        return await self.send("POST", json.dumps(body).encode())

    async def send(self, verb: str, body: bytes = b"", *headers: str) -> anyio.abc.SocketStream:
        fields = [f"{verb} /mcp HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        fields += ["Accept: application/json, text/event-stream", f"Content-Length: {len(body)}", *headers]
        if self.session:
            fields += [f"Mcp-Session-Id: {self.session}", "MCP-Protocol-Version: 2025-11-25"]
        stream = await anyio.connect_tcp("127.0.0.1", self.port)
        await stream.send("\r\n".join([*fields, "", ""]).encode() + body)
        self.streams.append(stream)
        return stream

    async def open_session(self) -> None:
        head = await said(await self.request(0, "initialize", HANDSHAKE), b"serverInfo")
        self.session = head.lower().partition(b"mcp-session-id: ")[2].partition(b"\r\n")[0].decode()
        await said(await self.send("POST", b'{"jsonrpc":"2.0","method":"notifications/initialized"}'), b"202")

    async def end(self, how: Callable[[anyio.abc.SocketStream], None]) -> None:
        for stream in self.streams:
            how(stream)
            await stream.aclose()
        self.streams.clear()


def reset(stream: anyio.abc.SocketStream) -> None:
    """Let the connection be reset when it is closed, as when its process is killed with data unread."""
    sock = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def orderly(stream: anyio.abc.SocketStream) -> None:
    """Let it be closed as the system closes it for a process that ends."""


async def said(stream: anyio.abc.ByteStream, what: bytes) -> bytes:
    """What comes, up to some words."""
    read = b""
    while what not in read:
        read += await stream.receive()
    return read


@asynccontextmanager
async def opened(scene: Scene, **options: Any) -> AsyncGenerator[Client]:
    async with mcpc.listen(scene.server, "http://127.0.0.1:0/mcp", **options) as listener:
        client = Client(int(listener.uri.split(":")[2].split("/")[0]))
        await client.open_session()
        try:
            yield client
        finally:
            await client.end(reset)


async def status(client: Client) -> int:
    """What a further request of the session is answered."""
    head = await said(await client.request(90, "ping"), b"\r\n")
    return int(head.split()[1])


@pytest.mark.parametrize("how", [reset, orderly])
@pytest.mark.parametrize("json_response", [False, True])
async def test_a_call_whose_client_is_gone_is_cancelled(how: Any, json_response: bool) -> None:
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=0.1, json_response=json_response) as client:
            await client.request(1, *BLOCK)
            await scene.begun.wait()
            await client.end(how)
            await scene.cancelled.wait()
            assert await status(client) == 200, "the session of a plain client is kept, for it may come back"


@pytest.mark.parametrize("how", [reset, orderly])
async def test_a_listener_that_is_gone_is_none_at_once(how: Any) -> None:
    """Its channel is forgotten, as one that nobody listens to; the session is still there."""
    scene = Scene(channel_ttl=0.1, abandon_after=0.4)
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=600) as client:
            await said(await client.request(1, *LISTEN), b"mcpc/listening")
            assert scene.callbacks.stats.channels == 1
            await client.end(how)
            while scene.callbacks.stats.channels:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.02)
            assert await status(client) == 200


async def test_the_session_of_a_listener_that_is_gone_ends_soon() -> None:
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=0.1) as client:
            await said(await client.request(1, *LISTEN), b"mcpc/listening")
            await client.end(reset)
            while await status(client) != 404:
                await client.end(orderly)
                await anyio.sleep(0.2)


@pytest.mark.parametrize("json_response", [False, True])
async def test_a_session_that_was_begun_and_never_used_ends_soon(
    json_response: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its client dies, or loses the connection, before it has read the answer that names the session."""
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, max_sessions=2, json_response=json_response) as client:
            monkeypatch.setattr(absence, "UNUSED", 0.0001)
            for _ in range(3):  # the third finds no room unless the first has ended
                while not await begin_and_leave(client.port):  # noqa: ASYNC110 - nothing tells
                    await anyio.sleep(0.05)
            assert await status(client) == 200, "one that was used is kept"


async def begin_and_leave(port: int) -> bool:
    """Whether a session could be begun; its client goes."""
    client = Client(port)
    head = await said(await client.request(0, "initialize", HANDSHAKE), b"\r\n")
    await client.end(orderly)
    return b" 200 " in head


async def test_a_session_that_was_used_is_not_ended_for_want_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "UNUSED", 0.0001)
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        if scope["headers"]:
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"mcp-session-id", b"s")]})
        await absences({**scope, "headers": [(b"mcp-session-id", b"s")]}, receive, send)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Nobody reads it."""

    absences = absence.Absences(app, 1.0, resumable=False, silent=False)
    async with absences.run():
        scope: Scope = {"type": "http", "method": "POST", "headers": [], ARRIVED: {"method": "initialize"}}
        await absences(scope, receive, send)
        await anyio.sleep(0.1)
    assert seen == ["POST", "POST"]


async def test_a_client_that_has_another_connection_is_not_taken_for_gone() -> None:
    """A lost connection cancels nothing (2025-11-25, basic/transports): its client may not even know."""
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=0.1) as client:
            get = await client.send("GET")
            client.streams.remove(get)
            await said(get, b" 200 ")
            await client.request(1, *BLOCK)
            await scene.begun.wait()
            await client.end(reset)
            with anyio.move_on_after(0.5):
                await scene.cancelled.wait()
            assert not scene.cancelled.is_set()
            await get.aclose()
            await scene.cancelled.wait()


async def test_a_client_that_comes_back_in_time_keeps_its_session_and_listens_on() -> None:
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=600) as client:
            await said(await client.request(1, *LISTEN), b"mcpc/listening")
            await client.end(reset)
            await scene.callbacks.emit("notification", "meanwhile")
            assert b"meanwhile" in await said(await client.request(2, *LISTEN), b"meanwhile")
            assert await status(client) == 200


async def test_a_call_of_an_older_session_without_a_bound_goes_on() -> None:
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=None) as client:
            await client.request(1, *BLOCK)
            await scene.begun.wait()
            await client.end(reset)
            with anyio.move_on_after(0.5):
                await scene.cancelled.wait()
            assert not scene.cancelled.is_set()


class Events(EventStore):
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        stream_id = self.events[int(last_event_id) - 1][0]
        for number, (of_stream, message) in enumerate(self.events[int(last_event_id) :], int(last_event_id) + 1):
            if of_stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


async def test_where_events_are_kept_a_call_is_taken_up_again_by_its_last_event() -> None:
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=600, event_store=Events()) as client:
            head = await said(await client.request(1, *BLOCK), b"\r\ndata: \r\n")
            await scene.begun.wait()
            await client.end(reset)
            scene.go_on.set()
            last = re.findall(rb"id: (\d+)\r\n", head)[-1].decode()
            assert b"released" in await said(await client.send("GET", b"", f"Last-Event-ID: {last}"), b"released")


async def test_a_request_that_was_answered_is_not_cancelled_later() -> None:
    """Its id may be another's by then."""
    scene = Scene()
    with anyio.fail_after(60):
        async with opened(scene, absence_timeout=0.1) as client:
            await said(await client.request(1, "ping"), b'"result"')
            await client.end(reset)
            await client.request(1, *BLOCK)
            await scene.begun.wait()
            with anyio.move_on_after(0.5):
                await scene.cancelled.wait()
            assert not scene.cancelled.is_set()


async def test_a_client_of_ours_goes_on_after_its_session_was_ended_for_it(tmp_path: Path) -> None:
    scene = Scene()

    @scene.callbacks.tool()
    async def count(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update("one")
        await scene.go_on.wait()
        await task.update("two")
        return "counted"

    with anyio.fail_after(60):
        async with mcpc.listen(scene.server, "http://127.0.0.1:0/mcp", absence_timeout=0.1) as listener:
            with relay_to(listener.uri, tmp_path) as relay:
                async with mcpc.Client(relay.uri, mode="legacy") as client:
                    task = await client.start_task("count", {})
                    seen: list[Any] = []
                    async for message in task:
                        if message.event == "update":
                            seen.append(message.result)
                        if message.result == "one":
                            relay.refusing = True
                            relay.cut_all()
                            await anyio.sleep(0.5)
                            relay.refusing = False
                            scene.go_on.set()
                    assert (seen, await task.result()) == (["one", "two"], "counted")
