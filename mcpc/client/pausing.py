"""`Pausing`: tells the server to send nothing on a listen stream while there is no room, and to go on after that.

The listener stays attached meanwhile, so that the server's senders wait for it. What
is already on its way stays with the `Inbox`. Knows nothing of messages.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError

from mcpc.client.inbox import Inbox
from mcpc.errors import MCPCError
from mcpc.flow import Flow
from mcpc.logs import logger_of
from mcpc.wire.names import PAUSE_METHOD, RESUME_METHOD

__all__ = ["PATIENCE", "RENEWAL", "Pausing"]

logger: logging.Logger = logger_of(__name__)

PATIENCE = 10.0
"""Seconds for the server to answer."""
RENEWAL = 1.0
"""Seconds after which a server that we hold up is told so again, if something was worked off meanwhile."""


class Pausing:
    """One listen stream's.

    Args:
        flow: Whether there is room.
        inbox: What keeps the messages that were on their way.
        ask: Sends one request about the stream.
        cut: Ends the stream, where the server cannot pause it.
    """

    def __init__(
        self, flow: Flow, inbox: Inbox, ask: Callable[[str], Awaitable[object]], cut: Callable[[], None]
    ) -> None:
        self._flow = flow
        self._inbox = inbox
        self._ask = ask
        self._cut = cut
        self._runs = False

    def begin(self, spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], object]) -> None:
        """There is no room: see to it, in a task of its own, unless one does."""
        if not self._runs:
            self._runs = True
            spawn(self._run)

    async def _run(self) -> None:
        try:
            while self._flow.stopped:
                await self._tell(PAUSE_METHOD)
                await self._until_room()
                await self._tell(RESUME_METHOD)
        except (MCPError, MCPCError, TimeoutError) as exc:  # an older server, or none that listens to us any more
            logger.debug("the listen stream cannot be paused, and is ended: %s", exc)
            self._cut()
        finally:
            self._runs = False

    async def _tell(self, method: str) -> None:
        with anyio.fail_after(PATIENCE):
            await self._ask(method)

    async def _until_room(self) -> None:
        """Wait until there is room. A server gives up a listener that does nothing, but not one that is slow."""
        seen = self._level()
        while self._flow.stopped:
            with anyio.move_on_after(RENEWAL):
                await self._flow.wait()
                return
            if (now := self._level()) != seen:
                seen = now
                await self._tell(PAUSE_METHOD)

    def _level(self) -> tuple[int, int]:
        return self._flow.level, self._inbox.under_way
