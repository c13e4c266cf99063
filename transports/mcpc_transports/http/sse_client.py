"""The client of the older HTTP+SSE transport: one event stream in, one POST for each message out.

Not the SDK's `sse_client`, for what that one does when something goes wrong: a
message over 1 MiB ends the connection, a POST that is refused leaves its caller
waiting for ever, and a server that goes away is a traceback in the log. Here
`max_message_size` is the bound, a refused POST answers its own request, and the
end of the stream is the end of the streams.

It needs the transport of MCP 2024-11-05 only: the first event, `endpoint`, says
where to POST; every `message` event is a JSON-RPC message.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import anyio
import httpx2
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCRequest

from mcpc.errors import (
    FINAL_STATUSES,
    ChannelBroken,
    ChannelClosed,
    ConnectFailed,
    ConnectRefused,
    FrameError,
    FrameTooLarge,
)
from mcpc.logs import logger_of
from mcpc.taps import CallbackTap, TappedReader
from mcpc.transport import StreamPair
from mcpc.wire.members import encode_whole, whole_message
from mcpc.wire.rpc import decode_frame, failed_answer
from mcpc_transports.http.client import Target, connecting, explain, read_whole, status_line
from mcpc_transports.http.event_bound import FIELDS, BoundedEvents
from mcpc_transports.http.event_tap import EventTap
from mcpc_transports.http.probe import Probe

__all__ = ["sse_streams"]

logger: logging.Logger = logger_of(__name__)

INBOX = 8
"""Messages that wait for the session before the event stream is read no further."""

MAX_POST_ANSWER = 64 * 1024
"""Bytes read of what a server says to a POST: nothing that is needed."""

MAX_REDIRECTS = 5

_Item = SessionMessage | Exception


@asynccontextmanager
async def sse_streams(target: Target) -> AsyncGenerator[StreamPair]:
    """Open the event stream at `target`, for as long as the context lasts.

    Raises:
        ConnectFailed: nobody answered in time, or the answer was no event stream.
    """
    # One scope around everything: scopes nest, and what is opened in this one outlives the opening.
    with anyio.CancelScope(deadline=target.deadline) as opening:
        async with httpx2.AsyncClient(**target.client_options()) as client:
            tap = CallbackTap()
            response, events, endpoint = await _open(client, target, tap)
            opening.deadline = float("inf")
            inbox, read = anyio.create_memory_object_stream[_Item](INBOX)
            write = _Poster(client, endpoint, inbox, str(target.uri))
            try:
                async with read, inbox, anyio.create_task_group() as tasks:
                    tasks.start_soon(_deliver, events, inbox, write)
                    yield TappedReader(read, tap), write
                    tasks.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
    if opening.cancelled_caught:
        raise ConnectFailed(target.too_late)


async def _open(
    client: httpx2.AsyncClient, target: Target, tap: CallbackTap
) -> tuple[httpx2.Response, AsyncIterator[httpx2.ServerSentEvent], httpx2.URL]:
    """The event stream, and where the server wants the messages."""
    headers = {"accept": "text/event-stream", "cache-control": "no-store"}
    with connecting(target):
        response = await _send(client, client.build_request("GET", target.url, headers=headers))
        if response.status_code != 200:
            await response.aclose()
            kind = ConnectRefused if response.status_code in FINAL_STATUSES else ConnectFailed
            raise kind(f"{target.where} refused us: {status_line(response)}")
        events = aiter(_events(response, target.options.max_message_size, tap))
        async for event in events:
            if event.event == "endpoint":
                return response, events, _endpoint(response.request.url, event.data, target)
    raise ConnectFailed(f"{target.uri} ended the event stream before it named its endpoint")


def _events(response: httpx2.Response, limit: int, tap: CallbackTap) -> httpx2.EventSource:
    """The events of a stream, without callbacks, and none over the limit.

    Where they are compressed, callbacks go the way of all messages, and a larger event ends the stream.
    """
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.AsyncByteStream):
        return httpx2.EventSource(response, max_event_size=limit)
    response.stream = BoundedEvents(EventTap(response.stream, tap, limit), limit)
    return httpx2.EventSource(response, max_event_size=limit + FIELDS)


def _endpoint(base: httpx2.URL, text: str, target: Target) -> httpx2.URL:
    # The specification lets the endpoint be any URI; our credentials go with every POST, so it has to be here.
    try:
        found = base.join(text)
    except httpx2.InvalidURL as exc:
        raise ConnectFailed(f"{target.uri} named an endpoint that is no address") from exc
    if not _same_origin(base, found):
        raise ConnectFailed(f"{target.uri} wants its messages at another origin")
    return found


def _same_origin(one: httpx2.URL, other: httpx2.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port) and not other.userinfo


async def _send(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Send, following redirects that keep the method and stay where our credentials belong."""
    for _ in range(MAX_REDIRECTS):
        response = await client.send(request, stream=True, follow_redirects=False)
        following = response.next_request
        if following is None or following.method != request.method or not _same_origin(request.url, following.url):
            return response
        await response.aclose()
        request = following
    return await client.send(request, stream=True, follow_redirects=False)


def _instead(error: FrameError) -> JSONRPCError | None:
    """What whoever waits for an unreadable answer is given; None where it was no answer to anybody known."""
    return failed_answer(error) if error.kind == "answer" and error.request_id is not None else None


async def _deliver(
    events: AsyncIterator[httpx2.ServerSentEvent], inbox: MemoryObjectSendStream[_Item], write: "_Poster"
) -> None:
    """Hand on what the server sends, until the stream ends; then end the streams."""
    skipped = 0
    try:
        async for event in events:
            if event.event != "message" or not event.data:
                continue
            message = _read(event.data.encode())
            if not isinstance(message, FrameError):
                await inbox.send(SessionMessage(message))
                continue
            skipped += 1
            if skipped == 1:
                logger.warning("skipped something from the server that is no MCP message: %s (said once)", message)
    except httpx2.SSEError as exc:
        logger.warning("the event stream cannot be read on: %s", exc)
    except httpx2.RequestError as exc:
        logger.debug("the event stream broke: %s", explain(exc))
    except anyio.BrokenResourceError:
        logger.debug("the session reads no more")
    finally:
        write.ended = True
        inbox.close()


def _read(data: bytes) -> JSONRPCMessage | FrameError:
    """What the server sent; for an answer that cannot be read an error in its place; else why it is passed over."""
    try:
        return whole_message(decode_frame(data))
    except FrameError as exc:
        return _instead(exc) or exc


class _Poster:
    """The write stream: each message is one POST, one after another."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        endpoint: httpx2.URL,
        inbox: MemoryObjectSendStream[_Item],
        name: str,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._inbox = inbox
        self._name = name
        self._probe = Probe()
        self._turn = anyio.Lock()
        self._closed = False
        self.ended = False
        """The event stream has ended: no answer can come any more."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send one message. A request that the server refuses is answered here, with an error.

        Raises:
            ChannelClosed: we closed the stream.
            ChannelBroken: the event stream has ended.
        """
        async with self._turn:
            if self._closed:
                raise ChannelClosed("the stream is closed")
            if self.ended:
                raise ChannelBroken(f"the event stream from {self._name} has ended")
            failure = await self._try(item.message)
        if failure is not None:
            await self._answer(item.message, failure)

    async def _try(self, message: JSONRPCMessage) -> ErrorData | None:
        """Post a message, unless it would only ask again what got lost."""
        method = getattr(message, "method", None)
        refusal = self._probe.refusal(method)
        if refusal is not None:
            return ErrorData(code=CONNECTION_CLOSED, message=refusal)
        failure = await self._post(encode_whole(message))
        if failure is not None and failure.code == CONNECTION_CLOSED:
            self._probe.lose(method, failure.message)
        return failure

    async def _post(self, frame: bytes) -> ErrorData | None:
        """Why the message did not get there; None where it did."""
        headers = {"content-type": "application/json"}
        request = self._client.build_request("POST", self._endpoint, content=frame, headers=headers)
        try:
            response = await _send(self._client, request)
            with suppress(FrameTooLarge):
                await read_whole(response, MAX_POST_ANSWER)  # read, so that the connection serves again
        except httpx2.RequestError as exc:
            return ErrorData(code=CONNECTION_CLOSED, message=f"connection to {self._name} failed: {explain(exc)}")
        if response.is_success:
            return None
        return ErrorData(code=INTERNAL_ERROR, message=f"{self._name} refused the message: {status_line(response)}")

    async def _answer(self, message: JSONRPCMessage, error: ErrorData) -> None:
        logger.debug("%s", error.message)
        if not isinstance(message, JSONRPCRequest) or self.ended:
            return
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._inbox.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=message.id, error=error)))

    async def aclose(self) -> None:
        """Refuse what is sent from now on."""
        self._closed = True
        await checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()
