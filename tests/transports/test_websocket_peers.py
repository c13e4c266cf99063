"""WebSocket connections under TLS, and with peers that other people wrote."""

import ssl

import anyio
import anyio.abc
import pytest
import trustme
from anyio.streams.tls import TLSStream
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.typing import Subprotocol

from mcpc.errors import ChannelEnded, ConnectFailed
from mcpc.transport import FrameChannel
from ws_kit import DEADLINE, Serve, dial, listen, tcp_server, works

pytestmark = pytest.mark.anyio

# --- TLS ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


WSS = "wss://127.0.0.1:0/mcp"


async def test_messages_pass_over_tls_both_ways_at_once(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def pour(channel: FrameChannel) -> None:
        for number in range(500):
            await channel.send(b"%d" % number, b"x" * 5000)
        await channel.send(b"y" * 1_000_000)

    with anyio.fail_after(DEADLINE):
        async with (
            listen(uri=WSS, ssl_context=server_tls) as listener,
            dial(listener.uri, ssl_context=client_tls) as channel,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(pour, channel)
            for number in range(500):
                assert await channel.receive() == b"%d" % number
                assert await channel.receive() == b"x" * 5000
            assert await channel.receive() == b"y" * 1_000_000


async def test_a_server_whose_certificate_is_not_trusted_is_refused(server_tls: ssl.SSLContext) -> None:
    async with listen(uri=WSS, ssl_context=server_tls) as listener:
        with pytest.raises(ConnectFailed, match="certificate"):
            async with dial(listener.uri):
                pass


async def test_tls_with_a_server_that_has_none_fails_clearly(client_tls: ssl.SSLContext) -> None:
    async with listen() as listener:
        with pytest.raises(ConnectFailed):
            async with dial(listener.uri.replace("ws:", "wss:"), ssl_context=client_tls):
                pass


async def test_a_client_without_tls_leaves_a_tls_listener_serving(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with listen(uri=WSS, ssl_context=server_tls) as listener:
        with pytest.raises(ConnectFailed):
            async with dial(listener.uri.replace("wss:", "ws:")):
                pass
        await works(listener.uri, ssl_context=client_tls)


async def test_a_refusal_can_be_read_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with listen(uri=WSS, ssl_context=server_tls) as listener:
        with pytest.raises(ConnectFailed, match="404"):
            async with dial(listener.uri + "/elsewhere", ssl_context=client_tls):
                pass


async def test_a_tls_connection_cut_without_a_close_frame_is_broken(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def cut(stream: anyio.abc.SocketStream) -> None:
        upper = await TLSStream.wrap(stream, server_side=True, ssl_context=server_tls, standard_compatible=False)
        with anyio.move_on_after(DEADLINE):
            await upper.receive()

    async with tcp_server(cut) as uri:
        with pytest.raises(ConnectFailed, match="ended"):
            async with dial(uri.replace("ws:", "wss:"), ssl_context=client_tls):
                pass


# --- other people's peers ---


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_client_of_the_websockets_package_gets_on_with_our_server(anyio_backend: str) -> None:
    endpoint = Serve()
    async with listen(endpoint) as listener:
        async with websockets_connect(listener.uri, subprotocols=[Subprotocol("mcp")]) as client:
            assert client.subprotocol == "mcp"
            assert client.protocol.extensions == []
            for text in ("{}", "é" * 100_000):
                await client.send(text)
                assert await client.recv() == text
            await client.send(iter(["in ", "three ", "parts"]))
            assert await client.recv() == "in three parts"
            await (await client.ping())
        assert client.close_code == 1000
        assert isinstance(await endpoint.end(), ChannelEnded)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_our_client_gets_on_with_the_server_of_the_websockets_package(anyio_backend: str) -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets_serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol("mcp")]) as server:
        port = server.sockets[0].getsockname()[1]
        async with dial(f"ws://127.0.0.1:{port}/mcp") as channel:
            for sent in (b"{}", ("é" * 100_000).encode()):
                await channel.send(sent)
                assert await channel.receive() == sent
            server.close()
            with pytest.raises(ChannelEnded, match="1001"):
                await channel.receive()
