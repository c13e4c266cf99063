"""MCP Events, EXPERIMENTAL: a subscription to the events of any server that serves them, streamed or polled.

Knows nothing of callbacks: the server need not be one of ours.
"""

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Protocol, Self, cast

from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

from mcpc.client.client import Client
from mcpc.client.event_polls import EventPolls
from mcpc.client.event_stream import EventStream
from mcpc.client.redialling import Redialling
from mcpc.client.requests import ask_server
from mcpc.client.told_events import Event, ToldEvents
from mcpc.detached import soon_from_anywhere
from mcpc.errors import ConnectionLost, LimitReached, MCPCError, MessageError, TimedOut
from mcpc.wire.events import LIST_METHOD, POLL, PUSH, UNSUPPORTED, event_params, next_page, read_types

__all__ = ["Delivery", "Event", "Source", "Subscription", "list_events", "subscribe"]

Delivery = Literal["push", "poll"]
"""How events come, in the draft's words: streamed (`events/stream`), or asked for (`events/poll`)."""

MAX_TYPES = 100_000
"""Event types of a server at the most."""

NONE_SERVED = "the server serves no events (MCP Events, an experimental draft)"


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
        if cursor == previous or len(found) > MAX_TYPES:
            raise MessageError("the server's list of events does not end")


async def subscribe(
    client: Client,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    cursor: str | None = None,
    max_age: float | None = None,
    delivery: Delivery | None = None,
    min_interval: float = 1.0,
) -> "Subscription":
    """Subscribe to an event of a server (EXPERIMENTAL): `async for event in await subscribe(client, "file_arrived")`.

    The events are streamed where the server offers it, and the way to it carries it; else they are polled.

    Args:
        client: The client.
        name: The event, as `list_events` shows it.
        arguments: As its `inputSchema` asks for.
        cursor: Where an earlier subscription was (`subscription.cursor`); now, where there is none.
        max_age: Seconds; older events are not told again.
        delivery: `push` to stream and `poll` to poll, and nothing else. Over HTTP each stream is a connection.
        min_interval: Seconds between two polls at the least, whatever the server suggests.

    Raises:
        MCPCError: the server serves no events, or not this one in such a way; `ConnectionLost`: the connection went
            away; `TimedOut`: the stream was not opened; `LimitReached`: the client has 32 streams open.
        MessageError: its answer is none.
        MCPError: it refused.
    """
    types = {each["name"]: each for each in await list_events(client)}
    if name not in types:
        raise MCPCError(f"the server has no event {name!r}; it has {', '.join(sorted(types)) or 'none'}")
    ways = _ways(name, types[name].get("delivery"), delivery)
    told = ToldEvents(cursor)
    params = partial(_params, name, dict(arguments or {}), max_age)
    sources: dict[str, Source] = {
        PUSH: EventStream(lambda: client.session, params, told),
        POLL: EventPolls(partial(_ask, client), params, told, min_interval),
    }
    source = await _begun([sources[way] for way in ways])
    return Subscription(source, told, Redialling(client))


def _ways(name: str, offered: Any, wanted: str | None) -> list[str]:
    """The ways in which an event can come, the best first.

    Raises:
        MCPCError: there is none.
    """
    listed: list[Any] = cast("list[Any]", offered) if isinstance(offered, list) else []
    ways = [way for way in (PUSH, POLL) if way in listed and wanted in (None, way)]
    if not ways:
        told = ", ".join(map(str, listed)) or "nothing"
        raise MCPCError(f"the event {name!r} cannot be had by {wanted or 'push or poll'}; the server offers {told}")
    return ways


def _params(name: str, arguments: dict[str, Any], max_age: float | None, cursor: str | None) -> dict[str, Any]:
    return event_params(name, arguments, cursor, max_age)


async def _begun(sources: "Sequence[Source]") -> "Source":
    """The first that works."""
    *tried, last = sources
    for source in tried:
        try:
            await source.begin()
        except (MCPError, LimitReached, TimedOut) as exc:
            if isinstance(exc, MCPError) and exc.code not in (METHOD_NOT_FOUND, UNSUPPORTED):
                raise
        else:
            return source
    await last.begin()
    return last


class Source(Protocol):
    """Where the events of a subscription come from."""

    async def begin(self) -> None:
        """Whatever happens after this is told."""
        ...

    async def more(self) -> None:
        """Wait until there may be more."""
        ...

    def close(self) -> None:
        """Nobody wants any more."""
        ...


class Subscription:
    """The events of one subscription, in order, without end; made by `subscribe`. One task at a time iterates.

    Where the client dials again, it goes on after a lost connection from where it was. What is raised out of the
    iteration does not end it either: the next iteration goes on. Leave it (`async with`), or `close` it, or let go of
    it, and the server is told that nobody listens.
    """

    def __init__(self, source: Source, told: ToldEvents, redialling: Redialling) -> None:
        self._source = source
        self._told = told
        self._redialling = redialling
        self._closed = False
        self._let_go = weakref.finalize(self, soon_from_anywhere(), source.close)
        self._let_go.atexit = False

    @property
    def cursor(self) -> str | None:
        """Where it is: before the events that were not told yet. To be kept, and given to `subscribe`."""
        return self._told.cursor

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and the iteration. May be called again."""
        self._closed = True
        self._let_go.detach()
        self._source.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            ConnectionLost: the connection went away, and there is no other one.
            MessageError: what the server tells makes no sense.
            TimedOut: it does not open the stream again.
            MCPError: it refused, or has ended the subscription.
        """
        while not self._closed:
            if (event := self._told.take()) is not None:
                self._redialling.succeeded()
                return event
            try:
                await self._source.more()
            except ConnectionLost:
                if self._redialling.is_over:
                    self._redialling.succeeded()  # the next iteration begins anew
                    raise
                await self._redialling.wait()
        raise StopAsyncIteration
