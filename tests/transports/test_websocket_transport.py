"""Open WebSocket connections: messages, limits, endings, cancellation, closing and keep-alive."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Side

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameTooLarge, TransportError
from mcpc.transport import FrameChannel
from mcpc_transports.websocket.mounted import AsgiChannel
from mcpc_transports.websocket.partial import MAX_SKIPPED
from ws_kit import DEADLINE, Handler, RawPeer, Serve, dial, listen, pair, raw_client, raw_server, steps, swallow

pytestmark = pytest.mark.anyio

TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)

Play = Callable[[RawPeer], Awaitable[None]]


async def facing(side: str, play: Play, handler: Handler = swallow, **options: Any) -> TransportError:
    """How our server or our client, run by `handler`, ends against a raw peer that does `play`."""
    endpoint = Serve(handler)
    with anyio.fail_after(DEADLINE):
        if side == "server":
            async with listen(endpoint, **options) as listener, raw_client(listener.uri) as peer:
                await play(peer)
                return await endpoint.end()
        async with raw_server(play) as uri, dial(uri, **options) as channel:
            with pytest.raises(TransportError) as caught:
                await handler(channel)
            return caught.value


both_sides = pytest.mark.parametrize("side", ["server", "client"])

# --- messages ---


async def test_messages_arrive_whole_and_in_order() -> None:
    async with pair() as (channel, _):
        sent = [b"{}", b"", '{"ключ": "値 🙂"}'.encode(), b"x" * 200_000]
        await channel.send(*sent)
        assert [await channel.receive() for _ in sent] == sent


async def test_fifty_thousand_frames_arrive_in_order() -> None:
    async def pour(channel: FrameChannel) -> None:
        for start in range(0, 50_000, 100):
            await channel.send(*(b"%d" % number for number in range(start, start + 100)))
        await swallow(channel)

    with anyio.fail_after(DEADLINE):
        async with pair(pour) as (channel, _):
            for number in range(50_000):
                assert await channel.receive() == b"%d" % number


@both_sides
async def test_fragments_are_put_together_and_pings_between_them_answered(side: str) -> None:
    received: list[bytes] = []

    async def play(peer: RawPeer) -> None:
        euro = "€".encode()
        await peer.send(TEXT, b"{" + euro[:1], fin=False)
        await peer.send(PING, b"are you there")
        await peer.send(CONT, euro[1:], fin=False)
        await peer.send(CONT, b"", fin=False)
        await peer.send(CONT, b"}")
        pong = await peer.receive()
        assert (pong.opcode, pong.data) == (PONG, b"are you there")
        await peer.send(CLOSE)
        await peer.closing()

    async def keep(channel: FrameChannel) -> None:
        while True:
            received.append(await channel.receive())

    # The limit is met exactly, and leaves no room for the ping: that does not count.
    assert isinstance(await facing(side, play, keep, max_message_size=5), ChannelEnded)
    assert received == ["{€}".encode()]


async def test_receive_goes_on_while_send_waits() -> None:
    heard = anyio.Event()

    async def stuck(channel: FrameChannel) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill, channel)
            assert await channel.receive() == b"hello"
            heard.set()
            tasks.cancel_scope.cancel()

    with anyio.fail_after(DEADLINE):
        async with listen(Serve(stuck)) as listener, raw_client(listener.uri) as peer:
            assert (await peer.receive()).opcode is TEXT  # it is sending, and from now on nobody reads
            await peer.send(TEXT, b"hello")
            await heard.wait()


async def fill(channel: FrameChannel) -> None:
    """Send until the peer's and our buffers are full, and then wait."""
    while True:
        await channel.send(b"x" * 1_000_000)


async def test_a_peer_that_pings_without_reading_holds_nothing_up() -> None:
    heard = anyio.Event()

    async def hear(channel: FrameChannel) -> None:
        assert await channel.receive() == b"after many pings"
        heard.set()

    with anyio.fail_after(DEADLINE):
        async with listen(Serve(hear)) as listener, raw_client(listener.uri) as peer:
            flood = b"".join(b"\x89\xfd\0\0\0\0" + b"p" * 125 for _ in range(2_000))
            for _ in range(40):
                await peer.stream.send(flood)
            await peer.send(TEXT, b"after many pings")
            await heard.wait()


# --- what may not be sent ---


@both_sides
@pytest.mark.parametrize("limit", [100, 70_000])
async def test_a_message_at_the_limit_passes_and_one_byte_more_costs_that_message_alone(side: str, limit: int) -> None:
    received: list[bytes | str] = []

    async def play(peer: RawPeer) -> None:
        await peer.send(TEXT, b"a" * limit)
        await peer.send(TEXT, b"b" * (limit + 1))
        await peer.send(TEXT, b"c" * (limit // 2), fin=False)
        await peer.send(CONT, b"c" * (limit // 2), fin=False)
        await peer.send(CONT, b"c", fin=True)
        await peer.send(TEXT, b"d" * limit)
        await peer.send(Opcode.CLOSE, Close(1000, "").serialize())
        await peer.closing()

    async def keep(channel: FrameChannel) -> None:
        while True:
            try:
                received.append(await channel.receive())
            except FrameTooLarge as exc:
                received.append(str(exc))

    assert isinstance(await facing(side, play, keep, max_message_size=limit), ChannelEnded)
    assert [type(one) for one in received] == [bytes, str, str, bytes]
    assert received[0] == b"a" * limit
    assert received[3] == b"d" * limit
    assert f"over the limit of {limit} bytes" in str(received[1])


@both_sides
async def test_a_message_that_nobody_means_to_send_ends_the_connection(side: str) -> None:
    async def play(peer: RawPeer) -> None:
        frame = Frame(TEXT, bytes(70_000)).serialize(mask=peer.side is Side.CLIENT)
        size = (MAX_SKIPPED + 1).to_bytes(8, "big")
        await peer.stream.send(frame[:2] + size + frame[10:1000])
        assert (await peer.closing()).code == 1009

    assert isinstance(await facing(side, play, max_message_size=1000), ChannelBroken)


@both_sides
@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [(BINARY, b"{}", 1003), (TEXT, b'"\xff"', 1007), (CONT, b"{}", 1002), (TEXT, b"\xed\xa0\x80", 1007)],
    ids=["binary", "not UTF-8", "a fragment of nothing", "half a surrogate pair"],
)
async def test_what_may_not_be_sent_ends_the_connection(side: str, opcode: Opcode, data: bytes, code: int) -> None:
    async def play(peer: RawPeer) -> None:
        await peer.send(opcode, data)
        assert (await peer.closing()).code == code

    assert isinstance(await facing(side, play), ChannelBroken)


async def test_unmasked_frames_of_a_client_end_the_connection() -> None:
    async def play(peer: RawPeer) -> None:
        await peer.stream.send(b"\x81\x02{}")
        assert (await peer.closing()).code == 1002

    assert isinstance(await facing("server", play), ChannelBroken)


# --- endings ---


@both_sides
@pytest.mark.parametrize("payload", [b"\x03\xe8", b"\x03\xe9bye", b""], ids=["1000", "1001", "no code"])
async def test_a_close_frame_ends_the_channel_after_what_came_before_it(side: str, payload: bytes) -> None:
    received: list[bytes] = []

    async def play(peer: RawPeer) -> None:
        await peer.send(TEXT, b"last words")
        await peer.send(CLOSE, payload)
        assert (await peer.receive()).data == payload

    async def keep(channel: FrameChannel) -> None:
        try:
            while True:
                received.append(await channel.receive())
        except ChannelEnded:
            with pytest.raises(ChannelBroken):
                await channel.send(b"too late")
            raise

    assert isinstance(await facing(side, play, keep), ChannelEnded)
    assert received == [b"last words"]


@both_sides
async def test_a_close_frame_with_an_error_breaks_the_channel_and_says_why(side: str) -> None:
    async def play(peer: RawPeer) -> None:
        await peer.send(CLOSE, b"\x03\xf3out of cheese")
        await peer.closing()

    end = await facing(side, play)
    assert isinstance(end, ChannelBroken)
    assert "1011" in str(end)
    assert "out of cheese" in str(end)


async def nothing(peer: RawPeer) -> None:
    """Just go."""


async def half_a_frame(peer: RawPeer) -> None:
    """Go in the middle of a frame."""
    await peer.send(TEXT, b"x" * 50, cut=20)


async def half_a_message(peer: RawPeer) -> None:
    """Go between two fragments."""
    await peer.send(TEXT, b"x", fin=False)


async def half_a_message_closed(peer: RawPeer) -> None:
    """Close between two fragments."""
    await peer.send(TEXT, b"x", fin=False)
    await peer.send(CLOSE, b"\x03\xe8")


@both_sides
@pytest.mark.parametrize("leave", [nothing, half_a_frame, half_a_message, half_a_message_closed])
async def test_a_cut_connection_breaks_the_channel(side: str, leave: Play) -> None:
    async def play(peer: RawPeer) -> None:
        await leave(peer)
        await peer.stream.aclose()

    assert isinstance(await facing(side, play), ChannelBroken)


# --- cancellation ---


async def test_a_cancelled_receive_loses_nothing() -> None:
    with anyio.fail_after(DEADLINE):
        async with pair() as (channel, _):
            for number in range(20):
                await channel.send(b"%d" % number)
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_cancel_soon, scope, number % 5)
                        assert await channel.receive() == b"%d" % number
                        tasks.cancel_scope.cancel()
                if scope.cancelled_caught:
                    assert await channel.receive() == b"%d" % number


async def _cancel_soon(scope: anyio.CancelScope, count: int) -> None:
    await steps(count)
    scope.cancel()


async def test_after_a_send_cancelled_half_way_nothing_more_is_sent() -> None:
    with anyio.fail_after(DEADLINE):
        async with raw_server(_wait_for_end) as uri, dial(uri) as channel:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(channel.send, b"x" * 100_000_000)
                await steps(20)
                tasks.cancel_scope.cancel()
            with pytest.raises(ChannelBroken, match="cancelled"):
                await channel.send(b"{}")


async def _wait_for_end(peer: RawPeer) -> None:
    """Never read; wait to be cancelled."""
    await anyio.sleep_forever()


async def _until_stuck() -> None:
    """Let a sender fill every buffer there is: nothing tells from outside when it has."""
    await steps(200)


async def test_a_send_cancelled_before_it_began_harms_nothing() -> None:
    async with pair() as (channel, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await channel.send(b"never")
        await channel.send(b"hello")
        assert await channel.receive() == b"hello"


# --- closing ---


@both_sides
async def test_closing_shakes_hands(side: str) -> None:
    async def play(peer: RawPeer) -> None:
        assert (await peer.answer_close()).code == 1000
        with pytest.raises(anyio.EndOfStream):
            await peer.receive()

    async def close(channel: FrameChannel) -> None:
        await channel.aclose()
        await channel.aclose()
        with pytest.raises(ChannelClosed):
            await channel.send(b"{}")
        await channel.receive()

    assert isinstance(await facing(side, play, close), ChannelClosed)


async def test_closing_wakes_who_waits_even_if_the_peer_is_gone() -> None:
    ends: list[type[TransportError]] = []

    async def note(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(TransportError) as caught:
            await call()
        ends.append(type(caught.value))

    with anyio.fail_after(DEADLINE):
        async with raw_server(_wait_for_end) as uri, dial(uri) as channel, anyio.create_task_group() as tasks:
            tasks.start_soon(note, channel.receive)
            tasks.start_soon(note, lambda: fill(channel))
            await _until_stuck()
            await channel.aclose()
    assert ends == [ChannelClosed, ChannelClosed]


async def test_what_was_sent_before_closing_still_arrives() -> None:
    async def say_all(channel: FrameChannel) -> None:
        await channel.send(*(b"x" * 1000 for _ in range(2000)))

    async with pair(say_all) as (channel, _):
        for _ in range(2000):
            assert await channel.receive() == b"x" * 1000
        with pytest.raises(ChannelEnded):
            await channel.receive()


async def test_a_listener_that_stops_says_goodbye() -> None:
    async def stay(uri: str, *, task_status: TaskStatus[None]) -> None:
        async with dial(uri) as channel:
            task_status.started()
            with pytest.raises(ChannelEnded, match="1001"):
                await channel.receive()

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks, listen(Serve(swallow)) as listener:
            await tasks.start(stay, listener.uri)


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with listen() as listener, dial(listener.uri):
            raise KeyError("mine")


async def test_an_endpoint_that_fails_costs_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_once(channel: FrameChannel) -> None:
        if len(endpoint.peers) == 1:
            raise RuntimeError("a fault of the endpoint")
        await channel.send(b"hello")

    endpoint = Serve(fail_once)
    async with listen(endpoint) as listener:
        async with dial(listener.uri) as channel:
            with pytest.raises(ChannelEnded):
                await channel.receive()
        async with dial(listener.uri) as channel:
            assert await channel.receive() == b"hello"
    assert "a fault of the endpoint" in caplog.text


# --- keep-alive ---


@both_sides
async def test_a_peer_that_answers_no_ping_is_given_up(side: str) -> None:
    async def play(peer: RawPeer) -> None:
        assert (await peer.receive()).opcode is PING
        assert (await peer.closing()).code == 1011

    async def try_both(channel: FrameChannel) -> None:
        with pytest.raises(ChannelBroken, match="ping"):
            await channel.receive()
        await channel.send(b"{}")

    end = await facing(side, play, try_both, ping_interval=0.05, ping_timeout=0.05)
    assert isinstance(end, ChannelBroken)
    assert "no answer to a ping within 0.05 s" in str(end)


@both_sides
async def test_a_peer_that_answers_pings_is_kept(side: str) -> None:
    async def play(peer: RawPeer) -> None:
        for _ in range(5):
            frame = await peer.receive()
            assert frame.opcode is PING
            await peer.send(PONG, bytes(frame.data))
        await peer.send(CLOSE, b"\x03\xe8")

    assert isinstance(await facing(side, play, ping_interval=0.02, ping_timeout=60), ChannelEnded)


async def test_a_dead_peer_is_noticed_while_a_send_waits_for_it() -> None:
    ends: list[TransportError] = []

    async def both(channel: FrameChannel) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_end, fill, channel, ends)
            tasks.start_soon(_keep_end, swallow, channel, ends)

    endpoint = Serve(both)
    with anyio.fail_after(DEADLINE):
        async with (
            listen(endpoint, ping_interval=0.1, ping_timeout=0.1) as listener,
            raw_client(listener.uri),
        ):
            await endpoint.ended.wait()
    assert [type(end) for end in ends] == [ChannelBroken, ChannelBroken]


async def _keep_end(handler: Handler, channel: FrameChannel, ends: list[TransportError]) -> None:
    try:
        await handler(channel)
    except TransportError as exc:
        ends.append(exc)


async def test_over_somebody_elses_web_server_a_message_over_the_limit_is_an_error_that_knows_its_id_too() -> None:
    texts = iter(['{"jsonrpc":"2.0","id":9,"method":"m","params":{"x":"%s"}}' % ("x" * 100), "{}"])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.receive", "text": next(texts)}

    async def send(_: Any) -> None:
        raise AssertionError("nothing is sent")

    channel = AsgiChannel(receive, send, 100)
    with pytest.raises(FrameTooLarge) as caught:
        await channel.receive()
    assert (caught.value.request_id, caught.value.kind) == (9, "request")
    assert await channel.receive() == b"{}"
