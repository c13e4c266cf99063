"""`EventPolls`: the events of one subscription, asked for again and again (`events/poll`). MCP Events, EXPERIMENTAL."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from mcpc.client.told_events import ToldEvents
from mcpc.errors import MessageError
from mcpc.wire.events import POLL_METHOD, read_events, read_page

__all__ = ["MAX_PAGE", "EventPolls"]

MAX_PAGE = 100_000
"""Events of one answer at the most; a server that sends more is none to be listened to."""


class EventPolls:
    """Asks when the server says so.

    Args:
        ask: Makes a request.
        params: Gives the params of one that begins at a position.
        told: Where the events go.
        min_interval: Seconds between two polls at the least, whatever the server suggests.
    """

    def __init__(
        self,
        ask: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]],
        params: Callable[[str | None], dict[str, Any]],
        told: ToldEvents,
        min_interval: float,
    ) -> None:
        self._ask = ask
        self._params = params
        self._told = told
        self._min_interval = min_interval
        self._next_poll = 0.0

    async def begin(self) -> None:
        """Take the server's position of now as the beginning, unless there is one.

        Raises:
            MCPCError, MCPError: see `more`.
        """
        if self._told.after is None:
            await self._poll(keep=False)

    async def more(self) -> None:
        """Ask once, when it is time to.

        Raises:
            MessageError: the answer is none.
            ConnectionLost: the connection went away.
            MCPError: the server refused.
        """
        await anyio.sleep(max(0.0, self._next_poll - anyio.current_time()))
        await self._poll()

    def close(self) -> None:
        """There is nothing to be let go of."""

    async def _poll(self, *, keep: bool = True) -> None:
        told = self._told
        answer = await self._ask(POLL_METHOD, self._params(told.after))
        cursor, skipped, has_more, wait = read_page(answer)
        events = read_events(answer)
        if len(events) > MAX_PAGE:
            raise MessageError(f"the server sent more than {MAX_PAGE} events at once")
        at_once = has_more and cursor != told.after
        self._next_poll = anyio.current_time() + (0.0 if at_once else max(self._min_interval, wait))
        if skipped:
            told.skipped()
        for each in events if keep else ():
            told.add(each)
        told.moved(cursor)
