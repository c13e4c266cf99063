"""The shorter way of a client to a server in its process: a request that is answered at once needs no messages.

What is streamed or reported meanwhile goes over the connection, as over any transport: callbacks, progress,
subscriptions, tasks, and all of the older era.
"""

import itertools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint_if_cancelled
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import (
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    REQUEST_TIMEOUT,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, StatusCode, get_tracer, use_span

from mcpc.client.connecting import Begun, InProcess
from mcpc.taps import InterceptingReader, StreamWrapper
from mcpc.transport import StreamPair
from mcpc.wire.calls import is_plain
from mcpc.wire.message import META, meta_of
from mcpc.wire.standard import CALL_TOOL_METHOD, PROGRESS_TOKEN, SHORT_METHODS

__all__ = ["DirectWay"]

NOT_DIRECT = frozenset((PROGRESS_TOKEN, LOG_LEVEL_META_KEY))
"""What stands in the `_meta` of requests whose callers want to hear more than the answer."""

tracer = get_tracer("mcpc")

Waiting = dict[RequestId, Begun | None]
"""The requests under way; None for one that is about to begin."""


class DirectWay:
    """That of one client, over one connection after another.

    Args:
        transport: Where the server is.
        tap: The client's taps, which direct requests pass, too.
        may_overtake: Whether what was begun with the connection has been heard. Until then all is asked there: who has
            an answer has what was sent before it, and must listen for that.
    """

    def __init__(
        self, transport: InProcess, tap: Callable[[StreamPair], StreamPair], may_overtake: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._tap = tap
        self._may_overtake = may_overtake
        self._waiting: Waiting = {}
        self._writer: Any = None

    def enter(self, streams: StreamPair) -> StreamPair:
        """The streams of a new connection, tapped."""
        self._waiting = waiting = Waiting()
        read, self._writer = self._tap((streams[0], _Writer(streams[1], waiting)))
        return _Reader(read, waiting), self._writer

    def dispatcher(self, inner: Dispatcher[Any]) -> Dispatcher[Any]:
        """The dispatcher of that connection; requests take the shorter way where they can."""
        return _Dispatcher(inner, self._transport, self._writer, self._waiting, self._may_overtake)


class _Writer(StreamWrapper):
    """Below all taps: a direct request goes no further. By then they have made of it what they make of requests."""

    def __init__(self, inner: Any, waiting: Waiting) -> None:
        super().__init__(inner)
        self._waiting = waiting

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        message = item.message
        if not isinstance(message, JSONRPCRequest) or message.id not in self._waiting:
            await self._inner.send(item)


class _Reader(InterceptingReader):
    """Above all taps: what the server sends in the place of an answer, behind something else, ends here."""

    def __init__(self, inner: Any, waiting: Waiting) -> None:
        super().__init__(inner, lambda message, size: None)
        self._waiting = waiting

    def _intercept(self, item: Any) -> bool:
        message = item.message if isinstance(item, SessionMessage) else None
        if not isinstance(message, JSONRPCResponse | JSONRPCError) or message.id is None:
            return False
        begun = self._waiting.get(message.id)
        if begun is None:
            return False
        begun.arrive()
        return True


class _Dispatcher:
    """The SDK's dispatcher over a connection, with a shorter way for most requests."""

    def __init__(
        self,
        inner: Dispatcher[Any],
        transport: InProcess,
        writer: Any,
        waiting: Waiting,
        may_overtake: Callable[[], bool],
    ) -> None:
        self._inner = inner
        self._transport = transport
        self._writer = writer
        self._waiting = waiting
        self._may_overtake = may_overtake
        self._numbers = itertools.count(1)
        self._runs = False

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Receive until the connection ends; see the SDK's `Dispatcher`."""
        self._runs = True
        try:
            await self._inner.run(on_request, on_notify, on_notify_intercept, task_status=task_status)
        finally:
            self._runs = False
            for begun in self._waiting.values():
                if begun is not None:
                    begun.close()

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification, over the connection."""
        await self._inner.notify(method, params, opts)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Make a request, and wait for its result.

        Raises:
            MCPError: the server refused it, it was not answered in time, or the connection ended.
        """
        if params is None or not self._is_direct(method, params, opts or {}):
            return await self._inner.send_raw_request(method, params, opts)
        await checkpoint_if_cancelled()
        name = f"direct-{next(self._numbers)}"
        with _traced(method, params, name) as span:
            meta = {**params[META]}
            inject(meta)  # the trace goes on (SEP-414)
            asked = {**params, META: meta}
            request = JSONRPCRequest.model_construct(jsonrpc="2.0", id=name, method=method, params=asked)
            outcome = await self._outcome(request, (opts or {}).get("timeout"))
            if isinstance(outcome, ErrorData):
                _tell(span, outcome)
        if isinstance(outcome, ErrorData):
            raise MCPError(outcome.code, outcome.message, outcome.data)
        return outcome

    def _is_direct(self, method: str, params: Mapping[str, Any], opts: CallOptions) -> bool:
        """Whether a request can take the shorter way now."""
        return self._runs and _is_short(method, params, opts) and self._transport.is_quiet and self._may_overtake()

    async def _outcome(self, request: JSONRPCRequest, timeout: float | None) -> Any:
        self._waiting[request.id] = None
        requests = self._transport.requests
        try:
            await self._writer.send(SessionMessage(request))
            begun = self._waiting[request.id] = requests.begin(request)
            try:
                with _within(timeout):
                    await begun.settled.wait()
            finally:
                requests.end(begun)
        except TimeoutError:
            raise MCPError(REQUEST_TIMEOUT, f"Request {request.method!r} timed out") from None
        finally:
            del self._waiting[request.id]
        return begun.outcome


def _is_short(method: str, params: Mapping[str, Any], opts: CallOptions) -> bool:
    """Whether a request is of the newer era, and its caller wants to hear of nothing but its answer."""
    if method not in SHORT_METHODS or "on_progress" in opts or "request_id" in opts:
        return False
    meta = meta_of(params)
    if PROTOCOL_VERSION_META_KEY not in meta or not NOT_DIRECT.isdisjoint(meta):
        return False
    return method != CALL_TOOL_METHOD or is_plain(params)


def _traced(method: str, params: Mapping[str, Any], request_id: str) -> AbstractContextManager[Span]:
    """The span that the SDK makes of a request at the client's side; all but nothing where nobody traces."""
    target = params.get("name")
    span = tracer.start_span(
        f"MCP send {method} {target}" if isinstance(target, str) else f"MCP send {method}",
        kind=SpanKind.CLIENT,
        attributes={"mcp.method.name": method, "jsonrpc.request.id": request_id},
    )
    if not span.get_span_context().is_valid:
        return nullcontext(span)
    return use_span(span, end_on_exit=True)


def _tell(span: Span, refusal: ErrorData) -> None:
    """A request was refused."""
    code = str(refusal.code)
    span.set_attributes({"error.type": code, "rpc.response.status_code": code})
    span.set_status(StatusCode.ERROR, refusal.message)


def _within(seconds: float | None) -> AbstractContextManager[Any]:
    return nullcontext() if seconds is None else anyio.fail_after(seconds)
