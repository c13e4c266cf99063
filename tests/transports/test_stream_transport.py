"""What is true of `unix:` and `tcp:` alike, through dial and listen."""

import errno
import os
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, ConnectFailed, FrameTooLarge, UnknownOption
from mcpc.transport import FrameChannel
from mcpc.uri import dial, listen_at
from stream_kit import Deaf, Echo, channel_at, raw_socket

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen."""
    return f"unix://{tmp_path}/s" if request.param == "unix" else "tcp://127.0.0.1:0"


async def test_frames_go_both_ways_whole_and_in_order(address: str) -> None:
    frames = [b'{"n": %d, "t": "%s"}' % (n, b"\xc3\xa9" * n) for n in (1, 0, 40_000, 7, 900_000, 2)]
    endpoint = Echo()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, endpoint))
            channel = await channel_at(stack, listener.uri)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.send, *frames)
                assert [await channel.receive() for _ in frames] == frames
    assert endpoint.received == frames


async def test_many_frames_go_through_quickly(address: str) -> None:
    count, batch = 20_000, 100
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            channel = await channel_at(stack, listener.uri)

            async def send() -> None:
                for start in range(0, count, batch):
                    await channel.send(*(b'{"n": %d}' % n for n in range(start, start + batch)))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                for n in range(count):
                    assert await channel.receive() == b'{"n": %d}' % n


async def test_a_message_over_the_limit_is_refused_and_the_next_one_works(address: str) -> None:
    at_limit, over = b"{" + b"x" * 98 + b"}", b"{" + b"x" * 99 + b"}"
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo(), max_message_size=100))
            channel = await channel_at(stack, listener.uri)
            await channel.send(at_limit, over, b"{" + b"y" * 1_000_000 + b"}", b"{}")
            wanted = [at_limit, b'{"limit": 100}', b'{"limit": 100}', b"{}"]
            assert [await channel.receive() for _ in wanted] == wanted


async def test_the_dialling_end_has_its_own_limit(address: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            channel = await channel_at(stack, listener.uri, max_message_size=10)
            await channel.send(b"{" + b"x" * 20 + b"}", b"{}")
            with pytest.raises(FrameTooLarge):
                await channel.receive()
            assert await channel.receive() == b"{}"


async def test_a_web_request_is_dropped_and_executes_nothing(address: str) -> None:
    endpoint = Echo()
    request = b'POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n{"method": "tools/call"}\r\n'
    with anyio.fail_after(60):
        async with listen_at(address, endpoint) as listener:

            def post() -> bytes:
                with raw_socket(listener.uri) as sock:
                    sock.sendall(request)
                    return sock.recv(100)

            assert await anyio.to_thread.run_sync(post) == b""
            await endpoint.ended.wait()
    assert endpoint.received == []
    assert isinstance(endpoint.endings[0], ChannelBroken)


async def test_a_message_cut_off_in_the_middle_is_told_from_a_good_end(address: str) -> None:
    with anyio.fail_after(60):
        for data, ending in ((b'{"a"', ChannelBroken), (b'{"a": 1}\r\n', ChannelEnded)):
            endpoint = Echo()
            async with listen_at(address, endpoint) as listener:
                with raw_socket(listener.uri) as sock:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    await endpoint.ended.wait()
            assert [type(exc) for exc in endpoint.endings] == [ending]


async def test_closing_wakes_a_waiting_receive(address: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            channel = await channel_at(stack, listener.uri)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close_soon, channel)
                with pytest.raises(ChannelClosed):
                    await channel.receive()
            with pytest.raises(ChannelClosed):
                await channel.send(b"{}")


async def close_soon(channel: FrameChannel) -> None:
    await anyio.wait_all_tasks_blocked()
    await channel.aclose()


async def test_closing_wakes_a_waiting_send(address: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Deaf()))
            channel = await channel_at(stack, listener.uri)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close_soon, channel)
                with pytest.raises(ChannelClosed):
                    await channel.send(b"x" * 50_000_000)


async def test_a_cancelled_send_makes_the_channel_refuse_further_ones(address: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Deaf()))
            channel = await channel_at(stack, listener.uri)
            with anyio.move_on_after(0.05) as scope:
                await channel.send(b"x" * 50_000_000)
            assert scope.cancelled_caught
            with pytest.raises(ChannelBroken):
                await channel.send(b"{}")


async def test_a_cancelled_receive_loses_nothing(address: str) -> None:
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            channel = await channel_at(stack, listener.uri)
            got: list[bytes] = []
            for n in range(100):
                await channel.send(b'{"n": %d}' % n)
                with anyio.move_on_after(0.000005 * n):
                    got.append(await channel.receive())
                if len(got) == n:
                    got.append(await channel.receive())
            assert got == [b'{"n": %d}' % n for n in range(100)]


async def test_what_was_sent_before_closing_arrives_although_the_peer_goes_on_sending(address: str) -> None:
    """To close a socket with unread data, or that more comes to, resets it; and a reset may overtake what was sent."""
    frame, flood = b'{"x": "%s"}' % (b"x" * 50_000), b'{"flood": "%s"}' % (b"y" * 5000)

    class Rude(Echo):
        async def serve(self, channel: FrameChannel) -> None:
            await channel.receive()
            await channel.send(*[frame] * 40)
            await channel.aclose()

    async def send_forever(channel: FrameChannel) -> None:
        with suppress(ChannelBroken):
            while True:
                await channel.send(flood)

    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Rude()))
            channel = await channel_at(stack, listener.uri)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_forever, channel)
                assert [await channel.receive() for _ in range(40)] == [frame] * 40
                with pytest.raises(ChannelEnded):
                    await channel.receive()
                tasks.cancel_scope.cancel()


async def test_leaving_the_listener_ends_its_connections_and_serves_nobody_more(address: str) -> None:
    endpoint = Echo()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            async with listen_at(address, endpoint) as listener:
                channels = [await channel_at(stack, listener.uri) for _ in range(3)]
                for channel in channels:
                    await channel.send(b"{}")
                    assert await channel.receive() == b"{}"
            for channel in channels:
                with pytest.raises(ChannelEnded):
                    await channel.receive()
            with pytest.raises(ConnectFailed):
                await channel_at(stack, listener.uri)
            await stack.enter_async_context(listen_at(listener.uri, endpoint))


async def test_a_peer_that_goes_away_breaks_sending(address: str) -> None:
    endpoint = Deaf()
    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            async with listen_at(address, endpoint) as listener:
                channel = await channel_at(stack, listener.uri)
            with pytest.raises(ChannelBroken):
                await channel.send(*[b"{" + b"x" * 100_000 + b"}"] * 100)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EMFILE])
async def test_a_failed_accept_does_not_end_the_listener(
    address: str, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mcpc_transports.accepting.PAUSE", 0.01)
    accept, failures = socket.socket.accept, [number] * 3

    def failing_accept(sock: socket.socket) -> tuple[socket.socket, Any]:
        if failures:
            code = failures.pop()
            raise OSError(code, os.strerror(code))
        return accept(sock)

    with anyio.fail_after(60):
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            with monkeypatch.context() as patch:
                patch.setattr(socket.socket, "accept", failing_accept)
                channel = await channel_at(stack, listener.uri)
                await channel.send(b"{}")
                assert await channel.receive() == b"{}"
    assert not failures
    assert ("no connection can be accepted" in caplog.text) == (number == errno.EMFILE)


async def test_an_error_in_the_body_comes_out_as_it_is(address: str) -> None:
    async def fail() -> None:
        async with listen_at(address, Echo()) as listener, dial(listener.uri):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()


async def test_a_listener_can_be_cancelled(address: str) -> None:
    with anyio.fail_after(60), anyio.CancelScope() as scope:
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listen_at(address, Echo()))
            channel = await channel_at(stack, listener.uri)
            scope.cancel()
            await channel.receive()
    assert scope.cancelled_caught


async def test_unknown_options_are_refused(address: str) -> None:
    with pytest.raises(UnknownOption, match="open_timeout"):
        dial(address, headers={})


def full_listener(family: int, address: Any) -> list[socket.socket]:
    """A listener with a full backlog, and what fills it."""
    sockets = [socket.socket(family)]
    sockets[0].bind(address)
    sockets[0].listen(0)
    for _ in range(3):
        sockets.append(socket.socket(family))
        sockets[-1].setblocking(False)
        sockets[-1].connect_ex(sockets[0].getsockname())
    return sockets


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_a_listener_that_does_not_answer_is_given_up_after_the_timeout(kind: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    sockets = full_listener(socket.AF_UNIX, path) if kind == "unix" else full_listener(socket.AF_INET, ("127.0.0.1", 0))
    uri = f"unix://{path}" if kind == "unix" else f"tcp://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        with anyio.fail_after(60), pytest.raises(ConnectFailed, match=r"did not answer within 0\.1 seconds"):
            async with dial(uri, open_timeout=0.1):
                pass
    finally:
        for sock in sockets:
            sock.close()
