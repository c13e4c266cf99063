"""The clients of a gateway told that a list has changed, each in the way of its era.

One of 2026-07-28 has asked for it (`subscriptions/listen`); an older one is told unasked, on its connection. A client
that does not read is not waited for: what it is to be told is at most one word a list. Knows nothing of servers.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.abc
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)

from mcpc.gateway.catalogue import Listed
from mcpc.logs import logger_of
from mcpc.sdk import connection_of
from mcpc.wire.greeting import with_list_changes
from mcpc.wire.jsontext import as_object
from mcpc.wire.standard import INITIALIZE_METHOD

__all__ = ["Telling"]

logger: logging.Logger = logger_of(__name__)

PATIENCE = 30.0
"""Seconds that a client has to take one word; after that it is left out."""

_EVENTS: dict[Listed, ServerEvent] = {
    "tools": ToolsListChanged(),
    "prompts": PromptsListChanged(),
    "resources": ResourcesListChanged(),
}

_SENDERS: dict[Listed, Callable[[Connection], Coroutine[Any, Any, None]]] = {
    "tools": Connection.send_tool_list_changed,
    "prompts": Connection.send_prompt_list_changed,
    "resources": Connection.send_resource_list_changed,
}


class Telling:
    """Tells all clients of one server."""

    def __init__(self) -> None:
        self.bus: InMemorySubscriptionBus = InMemorySubscriptionBus()
        """What the streams of the newer era are told by; the server is made with it."""
        self.tasks: anyio.abc.TaskGroup | None = None
        """Where clients of the older era are told; None while nobody is."""
        self._older: set[_Older] = set()

    def install(self, lowlevel: Server[Any]) -> None:
        """See each client of the older era that comes, and say in the greeting that lists change."""
        lowlevel.middleware.append(self._greet)

    async def tell(self, what: Listed) -> None:
        """Say that a list has changed."""
        for each in tuple(self._older):
            if self.tasks is not None and each.mark(what):
                self.tasks.start_soon(each.tell)
        await self.bus.publish(_EVENTS[what])

    async def _greet(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result: Any = await call_next(ctx)
        if ctx.method != INITIALIZE_METHOD or not isinstance(result, dict):
            return result
        connection = connection_of(ctx.session)
        client = _Older(connection)
        self._older.add(client)
        connection.exit_stack.callback(self._older.discard, client)
        connection.exit_stack.callback(client.leave)
        return with_list_changes(as_object(result))


class _Older:
    """A client of the older era."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._marked: set[Listed] = set()
        self._scope: anyio.CancelScope | None = None

    def mark(self, what: Listed) -> bool:
        """It is to be told of a list; whether that has to be begun."""
        self._marked.add(what)
        begins = self._scope is None
        self._scope = self._scope or anyio.CancelScope()
        return begins

    async def tell(self) -> None:
        """Tell it all that is marked."""
        assert self._scope is not None
        try:
            with self._scope:
                await self._connection.initialized.wait()
                while self._marked:
                    with anyio.move_on_after(PATIENCE):
                        await _SENDERS[self._marked.pop()](self._connection)
        except Exception as exc:
            logger.debug("a client could not be told that a list has changed: %s", exc)
        finally:
            self._scope = None

    def leave(self) -> None:
        """It is gone."""
        if self._scope is not None:
            self._scope.cancel()
