"""A transport of one's own: length-prefixed frames over TCP, as `lp://host:port`.

The contract it keeps is the text of `mcpc.transport`; `mcpc.testing.check_transport` checks that it does. A package
would offer the class under the entry point group `mcpc.transports` instead of registering it.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import anyio
import anyio.abc
from mcp.server import MCPServer

import mcpc
from mcpc.testing import check_transport
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, URI, Endpoint, Peer
from mcpc_transports.addresses import is_loopback

server = MCPServer("echo", log_level="WARNING")
callbacks = mcpc.MCPCHelper(server)


@callbacks.tool()
async def echo(text: str, task: mcpc.Task) -> str:
    for word in text.split():
        await task.update(word)
    return text


class PrefixedChannel:
    """One connection: each frame after its length, in four bytes."""

    def __init__(self, stream: anyio.abc.SocketStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._buffer = bytearray()
        self._skip = 0  # bytes of a frame that is too large, still to come
        self._closed = self._at_end = self._torn = False

    async def send(self, *frames: bytes) -> None:
        self._check_open()
        if self._torn:
            raise mcpc.ChannelBroken("an earlier send was cut short")
        self._torn = True
        with self._translated():
            await self._stream.send(b"".join(len(frame).to_bytes(4) + frame for frame in frames))
        self._torn = False

    async def receive(self) -> bytes:
        self._check_open()
        while (frame := self._take()) is None:
            if self._at_end:  # and so it stays, whatever a later send made of the connection
                raise mcpc.ChannelEnded("ended by the peer")
            await self._fill()
        return frame

    async def _fill(self) -> None:
        with self._translated():
            try:
                self._buffer += await self._stream.receive()
            except anyio.EndOfStream as exc:
                if self._buffer or self._skip:
                    raise mcpc.ChannelBroken("the connection ended inside a frame") from exc
                self._at_end = True

    def _take(self) -> bytes | None:
        skipped = min(self._skip, len(self._buffer))
        del self._buffer[:skipped]
        self._skip -= skipped
        size = int.from_bytes(self._buffer[:4])
        if self._skip or len(self._buffer) < 4:
            return None
        if size > self._limit:
            del self._buffer[:4]
            self._skip = size
            raise mcpc.FrameTooLarge(self._limit)
        if len(self._buffer) < 4 + size:
            return None
        frame = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return frame

    def _check_open(self) -> None:
        if self._closed:
            raise mcpc.ChannelClosed("closed by us")

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            self._check_open()
            raise mcpc.ChannelBroken("the connection was cut") from exc

    async def aclose(self) -> None:
        self._closed = True
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            await self._stream.aclose()


@dataclass
class Serving:
    uri: str


class PrefixedTransport:
    @asynccontextmanager
    async def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[PrefixedChannel]:
        try:
            stream = await anyio.connect_tcp(uri.host, uri.port or 0)
        except OSError as exc:
            raise mcpc.ConnectFailed(f"nobody listens at {uri}") from exc
        channel = PrefixedChannel(stream, max_message_size)
        try:
            yield channel
        finally:
            await channel.aclose()

    @asynccontextmanager
    async def listen(
        self, uri: URI, endpoint: Endpoint, /, *, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    ) -> AsyncGenerator[Serving]:
        if not is_loopback(uri.host):
            raise mcpc.ListenFailed(f"{uri} can be reached from other machines, and nobody is asked for a token")

        async def serve(stream: anyio.abc.SocketStream) -> None:
            await endpoint.serve_channel(PrefixedChannel(stream, max_message_size), Peer())

        try:
            listener = await anyio.create_tcp_listener(local_host=uri.host, local_port=uri.port or 0)
        except OSError as exc:
            raise mcpc.ListenFailed(f"{uri} cannot be served: {exc.strerror}") from exc
        async with listener, anyio.create_task_group() as tasks:
            for bound in listener.listeners:
                tasks.start_soon(bound.serve, serve)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            yield Serving(f"lp://{uri.host}:{port}")
            tasks.cancel_scope.cancel()


async def main() -> None:
    mcpc.register_transport("lp", PrefixedTransport())
    async with mcpc.listen(server, "lp://127.0.0.1:0") as listener, mcpc.Client(listener.uri) as client:
        task = await client.start_task("echo", {"text": "over a wire of our own"})
        print(listener.uri.partition(":")[0], [message.result async for message in task if message.event == "update"])
    await check_transport("lp://127.0.0.1:0")
    print("keeps the contract")


if __name__ == "__main__":
    anyio.run(main)
