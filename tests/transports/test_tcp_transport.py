"""`tcp:`, what is its own: addresses, and who may connect."""

import socket
from contextlib import AsyncExitStack

import anyio
import pytest

from mcpc.errors import ConnectFailed, ListenFailed, URIError
from mcpc.uri import dial, listen_at
from ports_kit import free_port
from stream_kit import Echo, channel_at

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "uri",
    [
        "tcp:127.0.0.1:1",
        "tcp://127.0.0.1",
        "tcp://:80",
        "tcp://127.0.0.1:1/path",
        "tcp://127.0.0.1:1?x=1",
        "tcp://127.0.0.1:1#x",
        "tcp://me:hush@127.0.0.1:1",
    ],
)
async def test_a_tcp_address_is_host_and_port_and_nothing_else(uri: str) -> None:
    for use in (lambda: dial(uri), lambda: listen_at(uri, Echo())):
        with pytest.raises(URIError) as caught:
            use()
        assert "hush" not in str(caught.value)


async def test_port_0_cannot_be_dialled() -> None:
    with pytest.raises(URIError, match="port 0"):
        dial("tcp://127.0.0.1:0")


@pytest.mark.parametrize(
    ("uri", "host"),
    [("tcp://localhost:0", "127.0.0.1"), ("tcp://127.0.0.2:0", "127.0.0.2"), ("tcp://[::1]:0", "[::1]")],
)
async def test_any_loopback_address_may_be_served(uri: str, host: str) -> None:
    endpoint = Echo()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(uri, endpoint))
            assert listener.uri.startswith(f"tcp://{host}:")
            channel = await channel_at(stack, listener.uri)
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"
    assert endpoint.peers[0].address.rpartition(":")[0] == ("[::1]" if ":" in host else "127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.com"])
async def test_an_address_that_others_can_reach_needs_a_word(host: str) -> None:
    with pytest.raises(ListenFailed, match="allow_remote=True"):
        async with listen_at(f"tcp://{host}:0", Echo()):
            pass


@pytest.mark.parametrize(("host", "dialable"), [("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")])
async def test_a_listener_on_every_address_names_one_that_can_be_dialled(host: str, dialable: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(f"tcp://{host}:0", Echo(), allow_remote=True))
            assert listener.uri.startswith(f"tcp://{dialable}:")
            channel = await channel_at(stack, listener.uri)
            await channel.send(b"{}")
            assert await channel.receive() == b"{}"


async def test_a_port_in_use_cannot_be_served() -> None:
    async with listen_at("tcp://127.0.0.1:0", Echo()) as listener:
        with pytest.raises(ListenFailed, match="in use"):
            async with listen_at(listener.uri, Echo()):
                pass


async def test_an_address_of_another_machine_cannot_be_served() -> None:
    with pytest.raises(ListenFailed, match=r"tcp://192\.0\.2\.1:0"):
        async with listen_at("tcp://192.0.2.1:0", Echo(), allow_remote=True):
            pass


async def test_nobody_at_a_tcp_address_is_told_so() -> None:
    port = free_port()
    with pytest.raises(ConnectFailed, match=f"nobody listens at tcp://127.0.0.1:{port}"):
        async with dial(f"tcp://127.0.0.1:{port}"):
            pass


async def test_a_host_that_cannot_be_a_name_is_told_so() -> None:
    with pytest.raises(ConnectFailed, match="cannot be found"):
        async with dial(f"tcp://{'x' * 70}.invalid:1"):
            pass


async def test_small_messages_are_not_delayed_and_dead_peers_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    connect = socket.socket.recv

    def noting_recv(sock: socket.socket, size: int) -> bytes:
        nodelay = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        made.append((nodelay, sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        return connect(sock, size)

    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at("tcp://127.0.0.1:0", Echo()))
            channel = await channel_at(stack, listener.uri)
            with monkeypatch.context() as patch:
                patch.setattr(socket.socket, "recv", noting_recv)
                await channel.send(b"{}")
                await channel.receive()
    assert len(made) > 1
    assert all(nodelay and keepalive for nodelay, keepalive in made)
