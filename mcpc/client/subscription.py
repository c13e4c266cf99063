"""MCP Events, EXPERIMENTAL: a subscription to the events of any server that serves them, by polling.

Knows nothing of callbacks: the server need not be one of ours.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

from mcpc.client.client import Client
from mcpc.client.requests import ask_server
from mcpc.errors import MCPCError, MessageError
from mcpc.wire.events import (
    LIST_METHOD,
    POLL,
    POLL_METHOD,
    Happened,
    next_page,
    poll_params,
    read_events,
    read_page,
    read_types,
)

__all__ = ["Event", "Subscription", "list_events", "subscribe"]

REMEMBERED = 1000
"""Ids of the newest events, so that none is told twice."""
MAX_WAITING = 100_000
"""Events of one answer at the most; a server that sends more is none to be listened to."""

NONE_SERVED = "the server serves no events (MCP Events, an experimental draft)"


@dataclass(frozen=True)
class Event:
    """Something that has happened at a server."""

    id: str
    """The same for the same event, however often it is told."""
    name: str
    timestamp: str
    """When, in ISO 8601."""
    data: dict[str, Any]
    """What the server says of it: data, no instructions."""
    missed: bool = False
    """Whether the server has skipped others before it (`truncated`): look how things stand, if that matters."""


async def _ask(client: Client, method: str, params: dict[str, Any]) -> dict[str, Any]:
    try:
        return await ask_server(client.session, method, params)
    except MCPError as exc:
        if exc.code == METHOD_NOT_FOUND:
            raise MCPCError(NONE_SERVED) from exc
        raise


async def list_events(client: Client) -> list[dict[str, Any]]:
    """The event types of a server (EXPERIMENTAL), as the draft has them: `name`, `description`, `delivery`,
    `inputSchema`, `payloadSchema`.

    Raises:
        MCPCError: the server serves none; `ConnectionLost` where the connection went away.
        MessageError: its answer is none.
        MCPError: it refused.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await _ask(client, LIST_METHOD, {} if cursor is None else {"cursor": cursor})
        found += read_types(answer)
        previous, cursor = cursor, next_page(answer)
        if cursor is None:
            return found
        if cursor == previous or len(found) > MAX_WAITING:
            raise MessageError("the server's list of events does not end")


async def subscribe(
    client: Client,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    cursor: str | None = None,
    max_age: float | None = None,
    min_interval: float = 1.0,
) -> "Subscription":
    """Subscribe to an event of a server (EXPERIMENTAL): `async for event in await subscribe(client, "file_arrived")`.

    Args:
        client: The client.
        name: The event, as `list_events` shows it.
        arguments: As its `inputSchema` asks for.
        cursor: Where an earlier subscription was (`subscription.cursor`); now, where there is none.
        max_age: Seconds; older events are not told again.
        min_interval: Seconds between two polls at the least, whatever the server suggests.

    Raises:
        MCPCError: the server serves no events, or not this one by polling; `ConnectionLost`: the connection went away.
        MessageError: its answer is none.
        MCPError: it refused.
    """
    types = {each["name"]: each for each in await list_events(client)}
    if name not in types:
        raise MCPCError(f"the server has no event {name!r}; it has {', '.join(sorted(types)) or 'none'}")
    if POLL not in (types[name].get("delivery") or ()):
        raise MCPCError(f"the event {name!r} cannot be polled, and nothing else is supported here")
    subscription = Subscription(client, name, dict(arguments or {}), cursor, max_age, min_interval)
    if cursor is None:
        await subscription.begin()
    return subscription


class Subscription:
    """The events of one subscription, in order, without end; made by `subscribe`.

    A poll that fails raises out of the iteration, and the next iteration goes on where it was.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        arguments: dict[str, Any],
        cursor: str | None,
        max_age: float | None,
        min_interval: float,
    ) -> None:
        self.cursor: str | None = cursor
        """Where it is: before the events that were not told yet. To be kept, and given to `subscribe`."""
        self._client = client
        self._name = name
        self._arguments = arguments
        self._max_age = max_age
        self._min_interval = min_interval
        self._next_poll = 0.0
        self._waiting: deque[Event] = deque()
        self._after: str | None = cursor
        self._missed = False
        self._known: deque[str] = deque(maxlen=REMEMBERED)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        while not self._waiting:
            await anyio.sleep(max(0.0, self._next_poll - anyio.current_time()))
            await self._poll()
        event = self._waiting.popleft()
        if not self._waiting:
            self.cursor = self._after
        return event

    async def begin(self) -> None:
        """Take the server's position of now as the beginning."""
        await self._poll()
        self._waiting.clear()
        self.cursor = self._after

    async def _poll(self) -> None:
        params = poll_params(self._name, self._arguments, self._after, self._max_age)
        answer = await _ask(self._client, POLL_METHOD, params)
        cursor, skipped, has_more, wait = read_page(answer)
        events = read_events(answer)
        if len(events) > MAX_WAITING:
            raise MessageError(f"the server sent more than {MAX_WAITING} events at once")
        moved, self._after = cursor != self._after, cursor
        self._next_poll = anyio.current_time() + (0.0 if has_more and moved else max(self._min_interval, wait))
        self._missed = self._missed or skipped
        for each in events:
            if each.event_id not in self._known:
                self._known.append(each.event_id)
                self._waiting.append(self._told(each))
        if not self._waiting:
            self.cursor = cursor

    def _told(self, event: Happened) -> Event:
        missed, self._missed = self._missed, False
        return Event(event.event_id, event.name, event.timestamp, event.data, missed)
