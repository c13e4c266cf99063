"""Frames to the SDK's streams and back: one writer, callbacks beside the SDK's path, bad frames, and every ending."""

import json
import logging
from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameTooLarge, TransportError
from mcpc.framing import HIGH_WATER, Connection, current_connection
from mcpc.pair import MemoryChannel, memory_pair
from mcpc.taps import InterceptingReader
from mcpc.transport import FrameChannel, Peer
from mcpc.wire.callbacks import encode_batch
from mcpc.wire.originals import encode_direct

pytestmark = pytest.mark.anyio

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
CALLBACK = encode_batch(7, 1, [b"{}"])
DIRECT = encode_direct(b"{}")


class Recorder:
    """A channel that writes down what is sent; each write waits for the gate and can be made to fail."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.writes: list[list[bytes]] = []
        self.closed = anyio.Event()
        self.began = anyio.Event()
        self.gate = anyio.Event()
        self.failure: TransportError | None = None
        self.sending = False
        if is_open:
            self.gate.set()

    async def send(self, *frames: bytes) -> None:
        assert not self.sending, "one sender"
        assert not self.closed.is_set()
        self.sending = True
        try:
            self.began.set()
            await checkpoint()
            await self.gate.wait()
            if self.failure is not None:
                raise self.failure
            self.writes.append(list(frames))
        finally:
            self.sending = False

    async def receive(self) -> bytes:
        await self.closed.wait()
        raise ChannelClosed("closed")

    async def aclose(self) -> None:
        self.closed.set()

    @property
    def sent(self) -> list[bytes]:
        return [frame for frames in self.writes for frame in frames]


class Frames:
    """A source that has some frames, a batch at a time."""

    def __init__(self, *batches: list[bytes]) -> None:
        self.batches = list(batches)
        self.told_closed = 0

    def take(self) -> list[bytes]:
        return self.batches.pop(0) if self.batches else []

    def connection_closed(self) -> None:
        self.told_closed += 1


def request(request_id: int | str = 1, **params: Any) -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=request_id, method="ping", params=params))


def response(request_id: int | str, **result: Any) -> SessionMessage:
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=request_id, result=result))


async def settle() -> None:
    for _ in range(20):
        await checkpoint()


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await checkpoint()


def pair(side: Literal["client", "server"] = "server", **options: Any) -> tuple[Connection, MemoryChannel]:
    """A connection, and the peer's end of its channel."""
    ours, theirs = memory_pair(**options)
    return Connection(ours, side=side), theirs


async def answer_of(channel: MemoryChannel) -> Any:
    with anyio.fail_after(60):
        return json.loads(await channel.receive())


# --- sending ----------------------------------------------------------------------------------------------------


async def test_what_waits_goes_in_one_write_the_sdks_messages_first() -> None:
    channel = Recorder()
    connection = Connection(channel, side="server")
    connection.attach(Frames([b"callback 1", b"callback 2"], [b"callback 3"]))
    connection.attach(Frames([b"other source"]))
    await connection.writer.send(response(1))
    await connection.writer.send(response(2))
    async with connection.open():
        await until(lambda: len(channel.writes) == 2)
    first, second = channel.writes
    assert [json.loads(frame)["id"] for frame in first[:2]] == [1, 2]
    assert first[2:] == [b"callback 1", b"callback 2", b"other source"]
    assert second == [b"callback 3"]


async def test_an_answer_overtakes_callbacks_that_were_not_taken_yet() -> None:
    channel = Recorder(is_open=False)
    async with Connection(channel, side="server").open() as connection:
        connection.attach(Frames([b"first"], [b"second"], [b"third"]))
        await channel.began.wait()
        await connection.writer.send(response(1))
        channel.gate.set()
        await until(lambda: len(channel.sent) == 4)
    assert channel.sent[0] == b"first"
    assert json.loads(channel.sent[1])["id"] == 1
    assert channel.sent[2:] == [b"second", b"third"]


async def test_a_source_is_asked_when_it_is_attached_and_when_it_wakes_the_writer() -> None:
    channel = Recorder()
    async with Connection(channel, side="server").open() as connection:
        source = Frames([b"at once"])
        connection.attach(source)
        await until(lambda: channel.sent == [b"at once"])
        source.batches.append([b"later"])
        await settle()
        assert channel.sent == [b"at once"], "nobody said that there is more"
        connection.wake()
        await until(lambda: channel.sent == [b"at once", b"later"])


async def test_a_detached_source_is_not_asked_any_more() -> None:
    channel = Recorder()
    source = Frames()
    async with Connection(channel, side="server").open() as connection:
        connection.attach(source)
        await settle()
        connection.detach(source)
        connection.detach(source)
        source.batches.append([b"no"])
        connection.wake()
        await settle()
    assert (channel.sent, source.told_closed) == ([], 0)


async def test_a_sender_waits_while_too_much_waits_already() -> None:
    channel = Recorder(is_open=False)
    frame = b"x" * HIGH_WATER
    passed: list[int] = []
    async with anyio.create_task_group() as group, Connection(channel, side="server").open() as connection:

        async def send() -> None:
            await connection.send(frame)
            passed.append(1)
            await connection.send(b"y")
            passed.append(2)

        group.start_soon(send)
        await channel.began.wait()
        await settle()
        assert passed == [1], "up to the mark nobody waits, one byte past it they do"
        channel.gate.set()
        await until(lambda: passed == [1, 2])
    assert channel.sent == [frame, b"y"]


async def test_a_cancelled_sender_has_its_frame_sent_whole_and_once() -> None:
    channel = Recorder(is_open=False)
    frame = b"x" * (HIGH_WATER + 1)
    async with Connection(channel, side="server").open() as connection:
        with anyio.move_on_after(60) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(connection.send, frame)
                await channel.began.wait()
                await settle()
                group.cancel_scope.cancel()
        assert not scope.cancelled_caught
        channel.gate.set()
        await connection.send(b"next")
    assert channel.sent == [frame, b"next"]


async def test_flush_waits_until_all_that_was_queued_is_handed_over() -> None:
    channel = Recorder(is_open=False)
    async with anyio.create_task_group() as group, Connection(channel, side="server").open() as connection:
        connection.push(b"a")
        flushed = anyio.Event()

        async def flush() -> None:
            await connection.writer.aclose()
            flushed.set()

        group.start_soon(flush)
        await settle()
        assert not flushed.is_set()
        channel.gate.set()
        await until(flushed.is_set)
        assert channel.sent == [b"a"]
        await connection.flush()


@pytest.mark.parametrize(
    "message",
    [
        JSONRPCRequest(jsonrpc="2.0", id="q", method="x", params={"ü": [1, None]}),
        JSONRPCNotification(jsonrpc="2.0", method="notifications/x"),
        JSONRPCResponse(jsonrpc="2.0", id=1, result={"a": None}),
        JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=-1, message="no", data=[1])),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_each_kind_of_message_passes_from_one_side_to_the_other(message: JSONRPCMessage) -> None:
    left, right = memory_pair()
    async with (
        Connection(left, side="client").open() as client,
        Connection(right, side="server").open() as server,
    ):
        await client.writer.send(SessionMessage(message))
        with anyio.fail_after(60):
            assert (await server.reader.receive()).message == message


# --- hooks on answers -------------------------------------------------------------------------------------------


async def test_a_hook_is_called_once_when_its_answer_is_ahead_of_what_is_sent_later() -> None:
    channel = Recorder()
    connection = Connection(channel, side="server")
    connection.on_answer(1, lambda: connection.push(b"after the answer"))
    for message in (request(1), response("1"), response(1), response(1)):
        await connection.writer.send(message)
    async with connection.open():
        await until(lambda: channel.sent)
    assert [frame == b"after the answer" for frame in channel.sent] == [False, False, False, True, False]


async def test_an_error_is_an_answer_too() -> None:
    called: list[str] = []
    connection = Connection(Recorder(), side="server")
    connection.on_answer("a", lambda: called.append("a"))
    error = ErrorData(code=1, message="")
    await connection.writer.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=None, error=error)))
    assert called == []
    await connection.writer.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id="a", error=error)))
    assert called == ["a"]


async def test_an_answer_that_cannot_be_sent_calls_its_hook_as_well() -> None:
    called: list[str] = []
    connection = Connection(Recorder(), side="server")
    connection.on_answer(1, lambda: called.append("it will never be sent"))
    with pytest.raises(ValueError, match="surrogates"):
        await connection.writer.send(response(1, text="\ud800"))
    assert called == ["it will never be sent"]


async def test_hooks_are_called_when_the_connection_closes_and_at_once_when_it_has() -> None:
    called: list[str] = []
    async with Connection(Recorder(), side="server").open() as connection:
        connection.on_answer(1, lambda: called.append("one"))
        connection.on_answer(2, lambda: called.append("two"))
        assert called == []
    assert called == ["one", "two"]
    connection.on_answer(3, lambda: called.append("late"))
    assert called == ["one", "two", "late"]


# --- receiving --------------------------------------------------------------------------------------------------


async def test_the_sink_gets_callbacks_and_the_sdk_everything_else() -> None:
    connection, peer = pair("client")
    took: list[Any] = []
    sizes: list[int] = []

    def take(message: dict[str, Any], size: int) -> None:
        took.append(message)
        sizes.append(size)

    connection.tap.sink = take
    others = [
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"notifications/mcpc/messages"}',
        b'{"jsonrpc":"2.0","method":"notifications/mcp/messages"}',
        b'{"jsonrpc":"2.0","method":"mcpc/listen"}',
        b'{"jsonrpc":"2.0","id":"MCPC_CALLBACK","error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":"MCPC_CALLBACK","method":"x"}',
        b'{"jsonrpc":"2.0","id":"other","result":{}}',
    ]
    async with connection.open():
        for other in others:
            await peer.send(CALLBACK, other, DIRECT, b'{"jsonrpc":"2.0","method":"notifications/mcpc/later"}')
            with anyio.fail_after(60):
                message = (await connection.reader.receive()).message
            assert json.loads(message.model_dump_json(by_alias=True, exclude_unset=True)) == json.loads(other)
    methods = [message.get("method", message.get("id")) for message in took]
    expected = ["notifications/mcpc/messages"]
    for _ in others[1:]:
        expected += ["MCPC_CALLBACK", "notifications/mcpc/later", "notifications/mcpc/messages"]
    assert methods == expected, "each is taken on the way to the next message for the SDK, and in order"
    assert sizes[:3] == [len(CALLBACK), len(DIRECT), len(b'{"jsonrpc":"2.0","method":"notifications/mcpc/later"}')]


async def test_without_a_sink_callbacks_go_to_the_sdk() -> None:
    connection, peer = pair("client")
    async with connection.open():
        await peer.send(CALLBACK, DIRECT)
        with anyio.fail_after(60):
            assert isinstance((await connection.reader.receive()).message, JSONRPCNotification)
            assert isinstance((await connection.reader.receive()).message, JSONRPCResponse)


async def test_the_readers_context_knows_the_connection() -> None:
    connection = Connection(Recorder(), side="server", peer=Peer("me", "here"))
    assert connection.reader.last_context.run(current_connection.get) is connection
    assert current_connection.get() is None
    assert connection.peer == Peer("me", "here")
    assert Connection(Recorder(), side="server").peer == Peer()


async def test_a_cancelled_receive_loses_nothing() -> None:
    connection, peer = pair()
    async with connection.open():
        for _ in range(3):
            with anyio.move_on_after(0):
                await connection.reader.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(connection.reader.receive)
            await settle()
            group.cancel_scope.cancel()
        await peer.send(PING)
        with anyio.fail_after(60):
            assert (await connection.reader.receive()).message.model_dump()["method"] == "ping"


# --- bad frames -------------------------------------------------------------------------------------------------

BAD: list[tuple[bytes, int, int | str | None]] = [
    (b"not JSON", -32700, None),
    (b"\xff", -32700, None),
    (b"[]", -32600, None),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"x"}', -32600, None),
    (b'{"jsonrpc":"1.0","id":"q","method":"x"}', -32600, "q"),
    (b'{"jsonrpc":"2.0","id":5,"method":"x","params":{"a":1e999}}', -32700, 5),
]


async def test_a_server_answers_each_bad_frame_and_takes_the_next_good_one() -> None:
    connection, peer = pair("server")
    async with connection.open():
        for number, (frame, code, request_id) in enumerate(BAD, 100):
            await peer.send(frame, b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number)
            with anyio.fail_after(60):
                assert isinstance((await connection.reader.receive()).message, JSONRPCRequest)
            answer = await answer_of(peer)
            assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", request_id, code)
    assert connection.bad_frames == len(BAD)


async def test_a_client_skips_bad_frames_says_so_once_and_refuses_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection, peer = pair("client")
    async with connection.open():
        with caplog.at_level(logging.WARNING, logger="mcpc"):
            await peer.send(*(frame for frame, _, _ in BAD), PING)
            with anyio.fail_after(60):
                assert isinstance((await connection.reader.receive()).message, JSONRPCRequest)
    assert connection.bad_frames == len(BAD)
    assert len(caplog.records) == 1
    for request_id in ("q", 5):
        assert (await answer_of(peer))["id"] == request_id
    with pytest.raises(ChannelEnded):
        await peer.receive()


async def test_a_frame_that_is_too_large_is_a_bad_frame() -> None:
    connection, peer = pair("server", max_message_size=200)
    async with connection.open():
        await peer.send(b" " * 201, PING)
        with anyio.fail_after(60):
            assert isinstance((await connection.reader.receive()).message, JSONRPCRequest)
        answer = await answer_of(peer)
        assert answer["id"] is None
        assert answer["error"] == {"code": FrameTooLarge(200).code, "message": str(FrameTooLarge(200))}


def of_size(size: int, beginning: bytes, end: bytes) -> bytes:
    """A frame of that many bytes, with one long text inside."""
    return beginning + b"x" * (size - len(beginning) - len(end)) + end


LARGE = {
    "an answer": (b'{"jsonrpc":"2.0","id":7,"result":{"a":"', b'"}}'),
    "an error": (b'{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"', b'"}}'),
    "an answer as the TypeScript SDK writes it": (b'{"result":{"a":"', b'"},"jsonrpc":"2.0","id":7}'),
}
REQUESTS = {
    "a request": (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"', b'"}}'),
    "a request as the TypeScript SDK writes it": (b'{"method":"x","params":{"a":"', b'"},"jsonrpc":"2.0","id":7}'),
}


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("kind", LARGE)
async def test_an_answer_over_the_limit_fails_its_own_request_and_the_next_message_comes(
    kind: str, side: Literal["server", "client"]
) -> None:
    connection, peer = pair(side, max_message_size=2000)
    async with connection.open():
        await peer.send(of_size(2000, *LARGE[kind]), of_size(2001, *LARGE[kind]), PING)
        with anyio.fail_after(60):
            assert (await connection.reader.receive()).message.id == 7  # pyright: ignore
            failed = (await connection.reader.receive()).message
            assert isinstance((await connection.reader.receive()).message, JSONRPCRequest)
    assert isinstance(failed, JSONRPCError)
    assert failed.id == 7
    assert "limit of 2000 bytes" in failed.error.message


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_over_the_limit_is_refused_with_its_id_and_the_next_one_comes(
    kind: str, side: Literal["server", "client"]
) -> None:
    connection, peer = pair(side, max_message_size=2000)
    async with connection.open():
        await peer.send(of_size(2000, *REQUESTS[kind]), of_size(2001, *REQUESTS[kind]), PING)
        with anyio.fail_after(60):
            for method in ("x", "ping"):
                message = (await connection.reader.receive()).message
                assert isinstance(message, JSONRPCRequest)
                assert message.method == method
        answer = await answer_of(peer)
    assert answer["id"] == 7
    assert "limit of 2000 bytes" in answer["error"]["message"]


@pytest.mark.parametrize("frame", [b"noise " * 500, b'{"jsonrpc":"2.0","method":"n","params":{"a":"' + b"x" * 3000])
async def test_noise_and_notifications_over_the_limit_are_passed_over_by_a_client(frame: bytes) -> None:
    connection, peer = pair("client", max_message_size=2000)
    async with connection.open():
        await peer.send(frame, PING)
        with anyio.fail_after(60):
            assert isinstance((await connection.reader.receive()).message, JSONRPCRequest)
    assert connection.bad_frames == 1


async def test_what_may_have_been_an_answer_ends_the_connection_of_a_client() -> None:
    connection, peer = pair("client", max_message_size=2000)
    async with connection.open():
        await peer.send(b'{"id' + b" " * 3000, PING)
        with anyio.fail_after(60), pytest.raises(ChannelBroken, match="over the limit"):
            await connection.reader.receive()


async def test_an_unreadable_answer_fails_its_own_request() -> None:
    connection, peer = pair("client")
    async with connection.open():
        await peer.send(b'{"jsonrpc":"2.0","id":7,"result":{"a":NaN}}', b'{"jsonrpc":"2.0","id":8,"result":5}')
        for request_id in (7, 8):
            with anyio.fail_after(60):
                failed = (await connection.reader.receive()).message
            assert isinstance(failed, JSONRPCError)
            assert failed.id == request_id


# --- endings ----------------------------------------------------------------------------------------------------


async def test_what_is_queued_is_sent_before_the_channel_closes() -> None:
    channel = Recorder()
    async with Connection(channel, side="server").open() as connection:
        connection.push(b"last words")
    assert channel.sent == [b"last words"]
    assert channel.closed.is_set()
    assert connection.closed


async def test_closing_takes_a_bounded_time_though_the_peer_does_not_read() -> None:
    channel = Recorder(is_open=False)
    with anyio.fail_after(60):
        async with Connection(channel, side="server").open() as connection:
            connection.push(b"nobody reads this")
    assert (channel.sent, channel.closed.is_set()) == ([], True)


async def test_the_channel_is_closed_and_flushed_though_the_body_raises() -> None:
    channel = Recorder()

    async def fail() -> None:
        async with Connection(channel, side="server").open() as connection:
            connection.push(b"last words")
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await fail()
    assert caught.group_contains(ZeroDivisionError)
    assert (channel.sent, channel.closed.is_set()) == ([b"last words"], True)


async def test_what_is_queued_is_sent_though_the_connection_is_cancelled() -> None:
    channel = Recorder()
    with anyio.CancelScope() as scope:
        async with Connection(channel, side="server").open() as connection:
            connection.push(b"last words")
            scope.cancel()
            await checkpoint()
    assert (channel.sent, channel.closed.is_set()) == ([b"last words"], True)


async def test_a_write_that_has_begun_is_not_cut_off_by_closing() -> None:
    channel = Recorder(is_open=False)

    async def open_later() -> None:
        await settle()
        channel.gate.set()

    async with anyio.create_task_group() as group, Connection(channel, side="server").open() as connection:
        connection.attach(Frames([b"callback"]))
        await channel.began.wait()
        group.start_soon(open_later)
    assert channel.sent == [b"callback"]


async def test_after_closing_sending_raises_and_sources_are_told() -> None:
    early, late = Frames(), Frames()
    async with Connection(Recorder(), side="server").open() as connection:
        connection.attach(early)
    assert early.told_closed == 1
    with pytest.raises(ChannelClosed):
        await connection.writer.send(request())
    connection.attach(late)
    assert (early.told_closed, late.told_closed) == (1, 1)
    with anyio.fail_after(60):
        await connection.flush()
        await connection.writer.aclose()


async def test_when_the_channel_breaks_sending_raises_and_everybody_is_told() -> None:
    channel = Recorder(is_open=False)
    channel.failure = ChannelBroken("cut")
    source = Frames()
    called: list[None] = []
    async with Connection(channel, side="server").open() as connection:
        connection.attach(source)
        connection.on_answer(1, lambda: called.append(None))
        await connection.writer.send(request())
        channel.gate.set()
        with anyio.fail_after(60):
            while not connection.closed:
                await checkpoint()
        assert (source.told_closed, len(called)) == (1, 1)
        for _ in range(2):
            with pytest.raises(ChannelBroken, match="cut"):
                await connection.writer.send(request())
        assert not channel.closed.is_set(), "reading may go on"
    assert channel.closed.is_set()
    assert source.told_closed == 1


async def test_a_sender_that_waits_when_the_channel_breaks_is_told() -> None:
    channel = Recorder(is_open=False)
    channel.failure = ChannelBroken("cut")
    outcome: list[str] = []
    async with anyio.create_task_group() as group, Connection(channel, side="server").open() as connection:

        async def send() -> None:
            try:
                await connection.send(b"x" * (HIGH_WATER + 1))
            except ChannelBroken:
                outcome.append("told")
            else:
                outcome.append("sent")

        group.start_soon(send)
        await channel.began.wait()
        await settle()
        channel.gate.set()
        await until(lambda: outcome)
    assert outcome == ["told"]


async def test_a_source_may_detach_itself_when_the_connection_closes() -> None:
    class Leaving(Frames):
        def connection_closed(self) -> None:
            super().connection_closed()
            connection.detach(self)

    sources = [Leaving(), Leaving(), Leaving()]
    async with Connection(Recorder(), side="server").open() as connection:
        for source in sources:
            connection.attach(source)
    assert [source.told_closed for source in sources] == [1, 1, 1]


async def test_the_reader_tells_the_three_endings_apart_and_iteration_just_ends() -> None:
    connection, peer = pair()
    async with connection.open():
        await peer.send(PING)
        await peer.aclose()
        messages = [message async for message in connection.reader]
        assert len(messages) == 1
        assert connection.closed
        with pytest.raises(ChannelEnded):
            await connection.reader.receive()
    with pytest.raises(ChannelClosed):
        await connection.reader.receive()
    assert [message async for message in connection.reader] == []


async def test_iteration_ends_where_the_channel_breaks() -> None:
    class Broken(Recorder):
        async def receive(self) -> bytes:
            await checkpoint()
            raise ChannelBroken("cut")

    async with Connection(Broken(), side="client").open() as connection:
        assert [message async for message in connection.reader] == []
        with pytest.raises(ChannelBroken):
            await connection.reader.receive()


async def test_the_streams_can_be_entered_and_closed_as_the_sdk_does() -> None:
    connection, peer = pair()
    async with connection.open():
        read, write = connection.streams
        async with read, write:
            await write.send(request("q"))
        assert (await answer_of(peer))["id"] == "q"
        await read.aclose()
        assert not connection.closed, "the connection closes with its own context"


async def test_the_recorder_is_a_channel() -> None:
    assert isinstance(Recorder(), FrameChannel)


# --- over the SDK's own streams ---------------------------------------------------------------------------------

NOTE = JSONRPCNotification(jsonrpc="2.0", method="notifications/x", params={"a": 1})
MESSAGES = JSONRPCNotification(jsonrpc="2.0", method="notifications/mcpc/messages", params={"first": 1})
DIRECT_RESPONSE = JSONRPCResponse(jsonrpc="2.0", id="MCPC_CALLBACK", result={"content": []})


async def test_callbacks_leave_a_stream_of_the_sdk_for_the_sink() -> None:
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](20)
    took: list[Any] = []
    ended: list[Exception] = []
    others: list[JSONRPCMessage] = [
        NOTE,
        JSONRPCRequest(jsonrpc="2.0", id=1, method="notifications/mcpc/messages", params={}),
        JSONRPCResponse(jsonrpc="2.0", id=1, result={}),
        JSONRPCError(jsonrpc="2.0", id="MCPC_CALLBACK", error=ErrorData(code=1, message="")),
    ]
    trouble = ValueError("in band")
    async with InterceptingReader(receive, lambda message, size: took.append((message, size)), ended.append) as reader:
        for item in (MESSAGES, DIRECT_RESPONSE, *others):
            send.send_nowait(SessionMessage(item))
        send.send_nowait(trouble)
        send.close()
        got = [item async for item in reader]
    assert [item.message for item in got[:-1]] == others
    assert got[-1] is trouble
    assert took == [
        ({"method": "notifications/mcpc/messages", "params": {"first": 1}}, 61),
        ({"id": "MCPC_CALLBACK", "result": {"content": []}}, 46),
    ]
    assert [type(error) for error in ended] == [anyio.EndOfStream]


async def test_the_end_of_the_inner_stream_is_told_before_it_is_raised() -> None:
    for error in (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        ended: list[Exception] = []

        class Inner:
            def __init__(self, failure: type[Exception]) -> None:
                self.failure = failure
                self.last_context = None

            async def receive(self) -> Any:
                await checkpoint()
                raise self.failure

        reader = InterceptingReader(Inner(error), lambda message, size: None, ended.append)
        with pytest.raises(error):
            await reader.receive()
        assert [type(exc) for exc in ended] == [error]


async def test_a_cancelled_receive_over_the_sdks_stream_loses_nothing() -> None:
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](5)
    took: list[Any] = []
    async with InterceptingReader(receive, lambda message, _: took.append(message)) as reader, send:
        async with anyio.create_task_group() as group:
            group.start_soon(reader.receive)
            await settle()
            group.cancel_scope.cancel()
        with anyio.move_on_after(0):
            await reader.receive()
        send.send_nowait(SessionMessage(MESSAGES))
        send.send_nowait(SessionMessage(NOTE))
        with anyio.fail_after(60):
            assert (await reader.receive()).message == NOTE
        assert len(took) == 1
    with pytest.raises(anyio.ClosedResourceError):
        await reader.receive()


async def test_the_senders_context_is_passed_on_where_there_is_one() -> None:
    connection = Connection(Recorder(), side="client")
    assert (
        InterceptingReader(connection.reader, lambda message, size: None).last_context is connection.reader.last_context
    )
    send, receive = anyio.create_memory_object_stream[SessionMessage](1)
    async with InterceptingReader(receive, lambda message, size: None) as reader, send:
        assert reader.last_context is None
        await reader.aclose()
