"""`SharedClient`: a client of one server for many callers, who are asked what the server asks, each for its own calls.

Whose call a request belongs to is known where it comes as a question of a task, or in answer to the call (2026-07-28),
or with the call's own stream (Streamable HTTP). On a connection of the older era it is known while one call is open,
and no other. Elsewhere it is refused: to ask the wrong one is worse. Knows nothing of who the callers are.
"""

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, CreateMessageRequestParams, ErrorData, JSONRPCNotification

from mcpc.client import Client
from mcpc.taps import InterceptingReader
from mcpc.transport import StreamPair
from mcpc.wire.client_requests import request_from, response_value, roots_request
from mcpc.wire.standard import LOG_METHOD, ROOTS_METHOD, SAMPLING_METHOD

__all__ = ["SharedClient"]

UNTOLD = ErrorData(
    code=INVALID_REQUEST,
    message="this client is a gateway, which serves many: it can ask one of them only for a call of a tool, and where "
    "it can be told for which; this request belongs to none, or several calls are open that it may belong to",
)
"""The refusal of a request of which it cannot be told who is to be asked."""


class SharedClient(Client):
    """A client whose program is whoever holds the handle of the call that a request belongs to.

    Args:
        uri: Where the server is.
        on_log: Takes the log entries of calls: the id of the call's handle, and the entry.
        options: What `Client` takes, but for the callbacks by which it is asked.
    """

    def __init__(self, uri: str, on_log: Callable[[str, dict[str, Any]], object], **options: Any) -> None:
        super().__init__(
            uri,
            sampling_callback=self._sample,
            list_roots_callback=self._list_roots,
            log_level="debug",  # each caller is told what it wants to know
            **options,
        )
        self._on_log = on_log
        self._router.answering.program = None
        self._router.answering.left = (SAMPLING_METHOD, ROOTS_METHOD)
        self._questions.unanswered = UNTOLD

    async def during(self, call: Awaitable[Any]) -> Any:
        """Make another call than of a tool: what is asked meanwhile may belong to it, and then to nobody."""
        return await self._questions.during(call)

    def _tap(self, streams: StreamPair) -> StreamPair:
        read, write = super()._tap(streams)
        return _LogReader(read, self._take_log), write

    def _take_log(self, entry: dict[str, Any]) -> None:
        call = self._questions.asker(alone=True)
        if call is not None:
            self._on_log(call.handle.task_id, entry)

    async def _sample(self, context: ClientRequestContext, params: CreateMessageRequestParams) -> Any:
        return await self._asked(context, request_from(params))

    async def _list_roots(self, context: ClientRequestContext) -> Any:
        return await self._asked(context, roots_request())

    async def _asked(self, context: ClientRequestContext, request: dict[str, Any]) -> Any:
        response = await self._questions.left_to_handle(context, request)
        if response is None:
            return UNTOLD
        try:
            return response_value(request, response)
        except MCPError as exc:
            return exc.error
        except ValueError:
            return ErrorData(code=INVALID_REQUEST, message="the caller has answered with something else")


class _LogReader(InterceptingReader):
    """The read stream, without log entries: they leave it here in their order, before the answer of their call.

    Each is taken in the context of its stream, where the transport has such.
    """

    def __init__(self, inner: Any, take: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(inner, lambda message, size: None)
        self._take = take

    def _intercept(self, item: Any) -> bool:
        message: Any = getattr(item, "message", None)
        if not isinstance(message, JSONRPCNotification) or message.method != LOG_METHOD:
            return False
        context = self.last_context or contextvars.copy_context()
        context.run(self._take, message.params or {})
        return True
