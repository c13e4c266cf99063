"""Peers for the WebSocket tests: endpoints that are simple, and raw ones that may misbehave."""

import base64
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol

from mcpc import uri as uris
from mcpc.errors import TransportError
from mcpc.transport import FrameChannel, Listener, Peer

DEADLINE = 60
"""Seconds that no test should come near."""

Handler = Callable[[FrameChannel], Awaitable[None]]


class Serve:
    """An endpoint that hands each channel to `handler`, and keeps how the connections ended."""

    server: Any = None

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or echo
        self.peers: list[Peer] = []
        self.ends: list[TransportError] = []
        self.ended = anyio.Event()

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        self.peers.append(peer)
        try:
            await self.handler(channel)
        except TransportError as exc:
            self.ends.append(exc)
        finally:
            self.ended.set()
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        raise AssertionError("a frame transport serves channels")

    async def end(self) -> TransportError:
        """How the first connection ended."""
        await self.ended.wait()
        return self.ends[0]


async def echo(channel: FrameChannel) -> None:
    """Send back all that comes."""
    while True:
        await channel.send(await channel.receive())


async def swallow(channel: FrameChannel) -> None:
    """Receive all that comes."""
    while True:
        await channel.receive()


class RawPeer:
    """One end of a connection that writes frames one by one, sound or not, and answers nothing by itself."""

    def __init__(self, stream: anyio.abc.ByteStream, side: Side) -> None:
        self.stream = stream
        self.side = side
        self._parser = Protocol(side, max_size=None)
        self._frames: list[Frame] = []

    async def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True, cut: int | None = None) -> None:
        """Send one frame, or only its first `cut` bytes."""
        frame = Frame(opcode, data, fin).serialize(mask=self.side is Side.CLIENT)
        await self.stream.send(frame[:cut])

    async def receive(self) -> Frame:
        """The next frame, whatever it is.

        Raises:
            EndOfStream: there are no more.
        """
        while not self._frames:
            self._parser.receive_data(await self.stream.receive())
            self._frames += [event for event in self._parser.events_received() if isinstance(event, Frame)]
        return self._frames.pop(0)

    async def closing(self) -> Close:
        """The close frame, after whatever comes before it."""
        while (frame := await self.receive()).opcode is not Opcode.CLOSE:
            pass
        return Close.parse(frame.data)

    async def answer_close(self) -> Close:
        """Wait for the peer's close frame and answer it."""
        close = await self.closing()
        await self.send(Opcode.CLOSE, close.serialize())
        return close


def request(uri: str, headers: Mapping[str, str | None] | None = None, *, start: str | None = None) -> bytes:
    """A handshake as bytes; a header given as None is left out."""
    parsed = uris.parse_uri(uri)
    fields: dict[str, str | None] = {
        "Host": parsed.authority,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mcp",
    }
    fields.update(headers or {})
    lines = [start or f"GET {parsed.path or '/'} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def tcp(uri: str) -> AsyncGenerator[anyio.abc.SocketStream]:
    """A bare TCP connection to where `uri` is served."""
    parsed = uris.parse_uri(uri)
    assert parsed.port is not None
    async with await anyio.connect_tcp(parsed.host, parsed.port) as stream:
        yield stream


async def ask(uri: str, data: bytes) -> str:
    """Send `data` to where `uri` is served, and read what comes back until the server is done."""
    answer = b""
    async with tcp(uri) as stream:
        await stream.send(data)
        while b"\r\n\r\n" not in answer or b"HTTP/1.1 101" not in answer:
            try:
                answer += await stream.receive()
            except anyio.EndOfStream:
                break
    return answer.decode()


@asynccontextmanager
async def raw_client(uri: str) -> AsyncGenerator[RawPeer]:
    """A raw client with an open connection to `uri`."""
    async with tcp(uri) as stream:
        await stream.send(request(uri))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await stream.receive(1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield RawPeer(stream, Side.CLIENT)


@asynccontextmanager
async def tcp_server(handler: Callable[[anyio.abc.SocketStream], Awaitable[None]]) -> AsyncGenerator[str]:
    """The `ws:` address of a bare TCP server."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await handler(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"ws://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/mcp"
        tasks.cancel_scope.cancel()


async def read_request(stream: anyio.abc.ByteStream) -> tuple[ServerProtocol, Request]:
    """The request of a client's handshake."""
    protocol = ServerProtocol()
    while True:
        protocol.receive_data(await stream.receive())
        for event in protocol.events_received():
            assert isinstance(event, Request)
            return protocol, event


def raw_server(handler: Callable[[RawPeer], Awaitable[None]]) -> AbstractAsyncContextManager[str]:
    """The address of a raw server that has each handshake done before `handler` gets the connection."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        protocol, asked = await read_request(stream)
        await stream.send(protocol.accept(asked).serialize())
        await handler(RawPeer(stream, Side.SERVER))

    return tcp_server(serve)


def listen(
    endpoint: Any = None, uri: str = "ws://127.0.0.1:0/mcp", **options: Any
) -> AbstractAsyncContextManager[Listener]:
    """Serve `endpoint`, or an echo."""
    return uris.listen_at(uri, endpoint or Serve(), **options)


@asynccontextmanager
async def dial(uri: str, **options: Any) -> AsyncGenerator[FrameChannel]:
    """A client's channel to `uri`."""
    async with uris.dial(uri, **options) as channel:
        assert isinstance(channel, FrameChannel)
        yield channel


async def works(uri: str, **options: Any) -> None:
    """Check that `uri` is served by an echo."""
    with anyio.fail_after(DEADLINE):
        async with dial(uri, **options) as channel:
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"


async def steps(count: int) -> None:
    """Let the other tasks run `count` times."""
    for _ in range(count):
        await checkpoint()


@asynccontextmanager
async def pair(handler: Handler | None = None, **options: Any) -> AsyncGenerator[tuple[FrameChannel, Serve]]:
    """A client's channel, and the endpoint that serves it; the options are those both sides take."""
    endpoint = Serve(handler)
    async with listen(endpoint, **options) as listener, dial(listener.uri, **options) as channel:
        yield channel, endpoint
