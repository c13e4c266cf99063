"""Requests of a client in this process, handled without messages: what is asked and what is answered stay values.

Each runs in a task of its own, as one that came over the connection does: whoever gives up waits for no handler. What
else is sent (callbacks, a notification of the handler's own) goes over the connection. Where the answer would overtake
any of it, an empty one goes there in its place, and the answer is given when that has come. Knows no client.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
import anyio.abc
from mcp.server import Server
from mcp.server.connection import Connection as Client
from mcp.server.connection import NotifyOnlyOutbound
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    CONNECTION_CLOSED,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from mcpc.errors import FrameError, TransportError
from mcpc.framing import Connection
from mcpc.groups import errors_told
from mcpc.latch import Latch
from mcpc.logs import logger_of
from mcpc.pair import MemoryChannel
from mcpc.pending import REQUEST_OVERHEAD
from mcpc.sdk import has_cleanup
from mcpc.wire.message import meta_of, notification_message
from mcpc.wire.rpc import encode_rpc

__all__ = ["DirectRequest", "DirectRequests", "Outcome"]

logger: logging.Logger = logger_of(__name__)

Outcome = dict[str, Any] | ErrorData
"""The result of a request, or what it was refused with."""

CLOSED = ErrorData(code=CONNECTION_CLOSED, message="Connection closed")

TRANSPORT = TransportContext(kind="direct", can_send_request=False)
"""What handlers see of the way. In the era of these requests a server makes none."""


class _Outbound:
    """What servers send beside their answers: over the connection."""

    def __init__(self, connection: Connection) -> None:
        self.sent: int = 0
        """How much."""
        self._connection = connection

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification; nothing happens where the connection is lost."""
        message = JSONRPCNotification.model_validate(notification_message(method, params))
        self.sent += 1
        with suppress(TransportError):
            await self._connection.send(encode_rpc(message))

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Nothing.

        Raises:
            NoBackChannelError: always.
        """
        raise NoBackChannelError(method)


class DirectRequest:
    """A request under way; to its handler, the way back to its caller (the SDK's `DispatchContext`)."""

    transport = TRANSPORT
    can_send_request = False
    message_metadata = None

    def __init__(self, request: JSONRPCRequest, outbound: _Outbound) -> None:
        self.request = request
        self.request_id = request.id
        self.outcome: Outcome | None = None
        self.settled: anyio.Event = anyio.Event()
        """Set with the outcome."""
        self.scope: anyio.CancelScope = anyio.CancelScope()
        """What its handler runs in."""
        self.cancel_requested: anyio.Event = cast("anyio.Event", Latch())
        self._outbound = outbound
        self._sent_before = outbound.sent
        self._held: Outcome = CLOSED

    def settle(self, outcome: Outcome) -> None:
        """It is answered. Only the first answer counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.settled.set()

    def hold(self, outcome: Outcome) -> None:
        """It is answered, once what was sent before has come."""
        self._held = outcome

    def arrive(self) -> None:
        """That has come."""
        self.settle(self._held)

    def close(self) -> None:
        """It will not be answered."""
        self.settle(CLOSED)

    @property
    def has_sent(self) -> bool:
        """Whether anything was sent over the connection since it began."""
        return self._outbound.sent != self._sent_before

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification that belongs to the request: ahead of its answer, or not at all."""
        if self.outcome is None:
            await self._outbound.notify(method, params, opts)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Nothing.

        Raises:
            NoBackChannelError: always.
        """
        raise NoBackChannelError(method)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Nothing: a caller who wants to know of progress asks over the connection."""


class DirectRequests:
    """Those of one client.

    Args:
        server: The server.
        state: What its lifespan gave.
        connection: Its connection with the client: it bounds the requests, and handlers find it as they do elsewhere.
        channel: That of the connection.
        tasks: Where handlers run.
    """

    def __init__(
        self,
        server: Server[Any],
        state: Any,
        connection: Connection,
        channel: MemoryChannel,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._server = server
        self._state = state
        self._connection = connection
        self._channel = channel
        self._tasks = tasks
        self._outbound = _Outbound(connection)
        self._notify_only = NotifyOnlyOutbound(self._outbound)
        self._said: tuple[Any, Any, Any] | None = None
        self._client: Client | None = None

    def begin(self, request: JSONRPCRequest) -> DirectRequest:
        """Let a request of the newer era be handled. Whoever began it must end it.

        Raises:
            MCPError: as many wait for their answers as may.
        """
        try:
            self._connection.pending.add(request.id, REQUEST_OVERHEAD)  # what it says is the caller's
        except FrameError as exc:
            raise MCPError(exc.code, str(exc), exc.data) from exc
        begun = DirectRequest(request, self._outbound)
        self._connection.reader.last_context.run(self._tasks.start_soon, self._handle, begun)
        return begun

    def end(self, begun: DirectRequest) -> None:
        """The caller has the answer, or wants none any more: then the handler is cancelled."""
        if begun.outcome is None:
            begun.cancel_requested.set()
            begun.scope.cancel()
            begun.close()
        self._connection.pending.answered(begun.request_id)

    async def _handle(self, begun: DirectRequest) -> None:
        is_sent = False
        try:
            with errors_told(_failed), begun.scope, suppress(TransportError):
                outcome = await self._outcome(begun)
                if begun.outcome is None and self._would_overtake(begun):
                    begun.hold(outcome)
                    await self._connection.send(_in_its_place(begun.request_id))
                    is_sent = True
                else:
                    begun.settle(outcome)
        finally:
            if not is_sent:
                begun.close()

    def _would_overtake(self, begun: DirectRequest) -> bool:
        """Whether the client may not have all that was sent before the answer to this one."""
        return begun.has_sent or not self._connection.is_idle or not self._channel.is_read

    async def _outcome(self, begun: DirectRequest) -> Outcome:
        request = begun.request
        client = self._client_of(meta_of(request.params))
        runner = ServerRunner(self._server, client, self._state)
        try:
            return await runner.on_request(begun, request.method, request.params)
        except Exception as exc:
            return modern_error_data(exc)
        finally:
            if has_cleanup(client):
                await aclose_shielded(client)

    def _client_of(self, meta: Mapping[str, Any]) -> Client:
        """Whom a request is of, as it says itself. Mostly what the last one said, which is not read again."""
        said = meta[PROTOCOL_VERSION_META_KEY], meta.get(CLIENT_INFO_META_KEY), meta.get(CLIENT_CAPABILITIES_META_KEY)
        known = self._client
        if known is None or said != self._said:
            known = self._client = Client.from_envelope(*said, outbound=self._notify_only)
            self._said = said
        client = Client(self._notify_only, protocol_version=known.protocol_version, client_params=known.client_params)
        client.client_capabilities = known.client_capabilities
        client.initialized = known.initialized
        return client


def _failed(error: Exception) -> None:
    """What fails as it is cancelled: its caller has gone, and nobody else has to do with it."""
    logger.error("a request failed as it was cancelled", exc_info=error)


def _in_its_place(request_id: Any) -> bytes:
    """What goes over the connection for an answer that is given beside it: it is as small as an answer can be."""
    return encode_rpc(JSONRPCResponse(jsonrpc="2.0", id=request_id, result={}))
