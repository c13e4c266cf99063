"""One server behind a gateway: connected to, or started, and again when it is gone.

A connection that is lost is made anew by its client, with waits that grow until one has stood for a while; tasks that
the server still knows then go on. Where the client gives up, or never had a connection, another one is made here.
Knows nothing of who uses it.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.abc
from mcp_types import Tool

from mcpc.client import Backoff, Client, ConnectionState
from mcpc.client.inbox import GAP_EVENT
from mcpc.client.life import unwrapped
from mcpc.client.router import LOST_EVENT
from mcpc.config import NamedServer
from mcpc.errors import ConfigError, ConnectionLost, URIError
from mcpc.gateway.catalogue import Catalogue, Kind, Listed
from mcpc.gateway.changes import ListChanges
from mcpc.gateway.logs import Logs
from mcpc.gateway.shared import SharedClient
from mcpc.gateway.status import ServerState, ServerStatus
from mcpc.groups import errors_told
from mcpc.logs import logger_of
from mcpc.messages import LOG_EVENT, MCPCMessage
from mcpc.wire.jsontext import as_object

__all__ = ["Child"]

logger: logging.Logger = logger_of(__name__)

FIRST, LONGEST = 0.2, 30.0
"""Seconds of the first wait before a server is started again, and of any, at the most."""

GIVE_UP = 60.0
"""Seconds for which a connection is made anew before the tasks that wait for it are given up."""

SETTLING = 30.0
"""Seconds that others wait for a server which is being started."""

Event = Callable[[MCPCMessage], Awaitable[Any]]
"""Takes a server event."""


class Child:
    """One server.

    Args:
        server: How it is reached.
        prefix: What its names begin with at the gateway.
        on_event: Told of its server events.
        on_change: Told of each of its lists that has changed.
    """

    def __init__(
        self, server: NamedServer, prefix: str, on_event: Event, on_change: Callable[[Listed], Awaitable[None]]
    ) -> None:
        self.name: str = server.name
        self.prefix = prefix
        self.catalogue: Catalogue = Catalogue()
        self.background: set[str] = set()
        """Its tools that have shown to be background tools."""
        self.logs: Logs = Logs()
        """What the calls log that are open at it."""
        self._server = server
        self._on_event = on_event
        self._changes = ListChanges(self.catalogue, on_change)
        self._client: SharedClient | None = None
        self._state: ServerState = "starting"
        self._since = 0.0
        self._ups = 0
        self._error: str | None = None
        self._settled = anyio.Event()
        self._over = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._backoff = Backoff(FIRST, LONGEST)

    # --- for those who use it ---

    @property
    def status(self) -> ServerStatus:
        """How it stands."""
        seconds = round(anyio.current_time() - self._since, 3)
        tools = len(self.catalogue.of("tools"))
        return ServerStatus(self.name, self._state, seconds, max(0, self._ups - 1), tools, self._error)

    async def client(self) -> SharedClient:
        """A client of it, once it is up; waits a while for one that is being started.

        Raises:
            ConnectionLost: it is not up.
        """
        with anyio.move_on_after(SETTLING):
            await self._settled.wait()
        if self._client is None or self._state != "up":
            raise self.lost("is not up now")
        return self._client

    def lost(self, what: str) -> ConnectionLost:
        """The error for one who has used it: what has become of it, and why, as far as clients are to know."""
        why = (self._error or "").partition("\n")[0].removesuffix("; the last it wrote to stderr:")
        again = "" if self._state in ("up", "unusable") else "; it is being started again"
        return ConnectionLost(f"the server {self.name!r} behind this one {what}{f' ({why})' if why else ''}{again}")

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run an async function for as long as its client lives; not at all where there is none."""
        if self._tasks is not None:
            self._tasks.start_soon(function)

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, as it is listed; None where there is none."""
        return next((tool for tool in self.catalogue.of("tools") if tool.name == name), None)

    async def list(self, kind: Kind) -> list[Any]:
        """What it offers, listed anew where it is up."""
        with anyio.move_on_after(SETTLING):
            await self._settled.wait()
        if self._client is not None and self._state == "up":
            await self.catalogue.refresh(kind, self._client)
        return self.catalogue.of(kind)

    # --- its life ---

    async def run(self) -> None:
        """Keep it up, until cancelled. Raises nothing that it caused."""
        self._since = anyio.current_time()
        try:
            uri, options = self._server.uri, self._server.options
            while True:
                await self._live(uri, options)
                await self._backoff.wait()
        except (ConfigError, URIError, TypeError) as exc:
            self._becomes("unusable", str(exc))
            self._settled.set()

    async def _live(self, uri: str, options: dict[str, Any]) -> None:
        """One client, from its first connection to where it gives up."""
        self._over = anyio.Event()
        client = SharedClient(
            uri,
            self.logs.take,
            provider="mcpc-gateway",
            reconnect=Backoff(FIRST, LONGEST),
            reconnect_timeout=GIVE_UP,
            on_connection=self._changed,
            message_handler=self._changes.heard,
            **options,
        )
        client.add_event_listener(self._take, type="server_event")
        try:
            with errors_told(self._failed):
                async with anyio.create_task_group() as self._tasks, client:
                    self._client = client
                    await self._up(client)
                    await self._over.wait()
                    self._tasks.cancel_scope.cancel()
        finally:
            self._client, self._tasks = None, None
            self._settled.set()

    def _failed(self, error: Exception) -> None:
        if isinstance(cause := unwrapped(error), ConfigError | URIError):
            raise cause from error
        self._becomes("down", str(cause) or type(cause).__name__)

    async def _up(self, client: Client) -> None:
        self._ups += 1
        self._backoff.succeeded()
        self._becomes("up")
        self._changes.mark_all(await self.catalogue.refresh_all(client))
        self._settled.set()
        if self._tasks is not None:
            self._tasks.start_soon(self._changes.run, client)

    def _changed(self, state: ConnectionState) -> None:
        """The client's connection has changed. (The first one is awaited, and not told of here.)"""
        client, tasks = self._client, self._tasks
        if client is None or tasks is None:
            return
        if state == "connected":
            tasks.start_soon(self._up, client)
        elif state == "lost":
            self._becomes("down", client.last_failure or "the connection was lost")

    def _becomes(self, state: ServerState, error: str | None = None) -> None:
        if error is not None:
            level = logging.DEBUG if error == self._error else logging.WARNING  # each reason is said once
            logger.log(level, "the server %r is %s: %s", self.name, state, error)
            self._error = error
        elif self._state == "down":
            logger.warning("the server %r is up again", self.name)
        self._state, self._since = state, anyio.current_time()

    # --- what it tells ---

    async def _take(self, message: MCPCMessage) -> None:
        if message.event == LOST_EVENT:
            self._over.set()
        elif message.event == LOG_EVENT:
            await self._take_log(message.result)
        elif message.event == GAP_EVENT:
            logger.info("messages of the server %r were missed", self.name)
        else:
            await self._on_event(message)

    async def _take_log(self, entry: Any) -> None:
        told = as_object(entry)
        log = self.logs.take(str(told.get("task_id")), told)
        if log is not None:
            await log.flush()  # as fast as the caller reads, and no faster
