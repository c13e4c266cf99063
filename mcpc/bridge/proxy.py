"""The bridge where HTTP listens: a lowlevel server that has nothing of its own and asks the one behind it.

The SDK's HTTP transport drives a server, with a session for each client of the
older era and one exchange for each request of the stateless one. So the bridge is
such a server, with a middleware that answers everything: it runs before the SDK
validates, and what it returns is sent as it is, so nothing is left out on the way.
"""

import logging
from collections.abc import Hashable
from typing import Any

import anyio
import anyio.abc
from mcp.server import Server, ServerRequestContext
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp.shared.message import CloseSSEStreamCallback
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, PaginatedRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcpc.bridge.box import Box
from mcpc.bridge.hub import HubKeeper
from mcpc.bridge.links import Target
from mcpc.bridge.pipe import GONE
from mcpc.bridge.session import Answer, PrivateSession, SharedSession
from mcpc.errors import FrameError, MCPCError
from mcpc.logs import logger_of
from mcpc.routing import TASK_METHODS, check_task_name
from mcpc.sdk import connection_of, request_channel, request_headers, request_scope
from mcpc.wire.members import unknown_in
from mcpc.wire.message import ERROR, ID, RESULT, Message, notification_message, params_of
from mcpc.wire.requests import TASK_ID
from mcpc.wire.standard import INITIALIZE_METHOD, INITIALIZED_METHOD, LIST_TOOLS_METHOD

__all__ = ["ProxyServer"]

logger: logging.Logger = logger_of(__name__)

Context = ServerRequestContext[Any, Any]


class ProxyServer(Server[Any]):
    """A server whose every answer is that of the server behind it.

    Args:
        target: The server behind it.
        keeper: Has the shared connections. All requests of the stateless era use one, as they belong to no
            connection: dialling for each would start a process for each, where the server is one.
        tasks: Where connections are read.
        shared: Whether sessions of the older era share a connection too.
        poll_after: Seconds after which the event stream of a request of the older era is closed, for its client
            to come back and ask (where the listener keeps events); None for never.
    """

    def __init__(
        self,
        target: Target,
        keeper: HubKeeper,
        tasks: anyio.abc.TaskGroup,
        *,
        shared: bool,
        poll_after: float | None = None,
    ) -> None:
        super().__init__("mcpc-bridge")
        self._target = target
        self._keeper = keeper
        self._tasks = tasks
        self._shared = shared
        self._poll_after = poll_after
        self.middleware = [self._answer]
        # Makes the SDK check `Mcp-Param-*` headers against the tools listed behind us; never called itself.
        self.add_request_handler(LIST_TOOLS_METHOD, PaginatedRequestParams, self._never)

    async def _never(self, ctx: Context, params: PaginatedRequestParams) -> HandlerResult:
        raise MCPError(CONNECTION_CLOSED, GONE)

    async def _answer(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """One request or notification (see `ServerMiddleware`)."""
        message = notification_message(ctx.method, ctx.params) | unknown_in(request_scope(ctx.request))
        try:
            if ctx.request_id is None:
                await self._notify(ctx, message)
                return await call_next(ctx) if ctx.method == INITIALIZED_METHOD else None
            message[ID] = ctx.request_id
            return _result(await self._request(ctx, message))
        except FrameError as exc:
            raise MCPError(exc.code, str(exc)) from exc
        except MCPCError as exc:
            raise MCPError(CONNECTION_CLOSED, str(exc)) from exc

    async def _request(self, ctx: Context, message: Message) -> Message:
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if ctx.method == INITIALIZE_METHOD:
                # The era has none, and passed on it would open the other one on the shared connection.
                raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
            hub = self._keeper.get(modern=True)
            headers = request_headers(ctx.request) or {}
            if ctx.method in TASK_METHODS:
                check_task_name(headers, params_of(message).get(TASK_ID))
            return await Answer(hub, Box(), request_channel(ctx.session), _client(ctx)).fetch(message, headers)
        session = self._session(ctx)
        if self._poll_after is None or ctx.close_sse_stream is None:
            return await session.request(message, request_channel(ctx.session))
        timer = anyio.CancelScope()
        self._tasks.start_soon(self._close_later, ctx.close_sse_stream, self._poll_after, timer)
        try:
            return await session.request(message, request_channel(ctx.session))
        finally:
            timer.cancel()

    async def _close_later(self, close: CloseSSEStreamCallback, seconds: float, timer: anyio.CancelScope) -> None:
        """Close a request's event stream, unless it was answered first (2025-11-25, Streamable HTTP; SEP-1699)."""
        with timer:
            await anyio.sleep(seconds)
            await close()

    async def _notify(self, ctx: Context, message: Message) -> None:
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            await self._session(ctx).notify(message)

    def _session(self, ctx: Context) -> PrivateSession | SharedSession:
        """The session of a client of the older era; it ends with the SDK's."""
        connection = connection_of(ctx.session)
        found = connection.state.get("bridge")
        if found is None:
            if self._shared:
                found = SharedSession(self._keeper.get(modern=False), connection.outbound)
            else:
                found = PrivateSession(self._target, connection.outbound)
            connection.state["bridge"] = found
            connection.exit_stack.callback(found.close)
            self._tasks.start_soon(found.run)
        return found


def _client(ctx: Context) -> Hashable:
    """Whom a request is counted for: who is authenticated, or the address."""
    token = get_access_token()
    if token is not None:
        return tuple(principal_components(token))
    return getattr(getattr(ctx.request, "client", None), "host", "")


def _result(answer: Message) -> dict[str, Any]:
    """The result of an answer.

    Raises:
        MCPError: the answer is an error.
    """
    if RESULT in answer:
        return answer[RESULT]
    error = answer[ERROR]
    raise MCPError(error["code"], error["message"], error.get("data"))
