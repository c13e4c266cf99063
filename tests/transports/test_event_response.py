"""Frames are written to the stream that answers a listener as they are, and only listeners find it."""

import contextvars

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest
from starlette.types import Message

from mcpc.responses import current_response
from mcpc_transports.http.event_response import AnsweringReader, EventResponse

pytestmark = pytest.mark.anyio

DEADLINE = 60


async def test_frames_wait_for_the_first_event_and_go_out_in_one_write() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        await checkpoint()
        sent.append(message)

    response = EventResponse(send)
    first = {"type": "http.response.body", "body": b"event: endpoint\r\ndata: /m\r\n\r\n", "more_body": True}
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(response.send, b"{1}", b"{2}")
            await response.relay({"type": "http.response.start", "status": 200, "headers": []})
            assert not response.is_open
            await response.relay(first)
            assert response.is_open
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "http.response.body"]
    assert sent[1] is first
    assert sent[2]["body"] == b"event: message\r\ndata: {1}\r\n\r\nevent: message\r\ndata: {2}\r\n\r\n"
    assert sent[2]["more_body"]


class Messages:
    """A read stream that gives what it was made with, each message with a context of its own, as the SDK's do."""

    def __init__(self, *messages: JSONRPCRequest | JSONRPCNotification) -> None:
        self.waiting = list(messages)
        self.last_context: contextvars.Context | None = None

    async def receive(self) -> SessionMessage:
        await checkpoint()
        if not self.waiting:
            raise anyio.EndOfStream
        self.last_context = contextvars.copy_context()
        return SessionMessage(self.waiting.pop(0))

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


async def test_a_listen_request_finds_the_stream_that_answers_it_and_no_other_message_does() -> None:
    async def send(message: Message) -> None:
        raise AssertionError("nothing was to be sent")

    response = EventResponse(send)
    listen = JSONRPCRequest(jsonrpc="2.0", id=1, method="mcpc/listen", params={})
    other = JSONRPCRequest(jsonrpc="2.0", id=2, method="tools/call", params={})
    notification = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
    reader = AnsweringReader(Messages(listen, other, notification, listen), response)
    found: list[object] = []
    async for _ in reader:
        assert reader.last_context is not None
        found.append(reader.last_context.run(current_response.get))
    assert found == [response, None, None, response]
    assert current_response.get() is None
