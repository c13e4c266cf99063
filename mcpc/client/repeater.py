"""`Repeater`: what is said to a task is said again where the connection went away before the answer.

Only for requests that may arrive twice: a stop, an answer to a question (which takes one), an input with a key. Knows
nothing of what they say.
"""

from collections.abc import Callable
from typing import Any

import anyio
from mcp.client import ClientSession

from mcpc.client.requests import ask_server
from mcpc.errors import ConnectionLost, MCPCError

__all__ = ["Repeater"]


PAUSE = 0.5
"""Seconds before the same connection is tried again."""


def _never(refusal: MCPCError) -> bool:
    return False


class Repeater:
    """Asks a server over one connection after another.

    Args:
        session: Gives the session of the present connection; raises `ConnectionLost` where there is none.
        pause: Seconds after which the same connection is tried again: over HTTP each request may fail by itself.
    """

    def __init__(self, session: Callable[[], ClientSession], pause: float = PAUSE) -> None:
        self._session = session
        self._pause = pause
        self._connected = anyio.Event()
        self._failure: Exception | None = None

    def connected(self) -> None:
        """There is another connection."""
        self._connected.set()
        self._connected = anyio.Event()

    def closed(self, failure: Exception) -> None:
        """There will be no other."""
        self._failure = failure
        self._connected.set()

    async def ask_once(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One `mcpc/*` request over the present connection; see `ask_server`."""
        return await ask_server(self._session(), method, params)

    async def ask(
        self, method: str, params: dict[str, Any], *, arrived: Callable[[MCPCError], bool] = _never
    ) -> dict[str, Any]:
        """The same, and again over each next connection until it is answered.

        Args:
            method: The method.
            params: Its params.
            arrived: Whether a repetition that is refused so says that the first one had arrived.

        Raises:
            ConnectionLost: there will be no other connection.
            MCPCError, MCPError: see `ask_server`.
        """
        session: ClientSession | None = None
        while True:
            is_repeated, session = session is not None, await self._after(session)
            try:
                return await ask_server(session, method, params)
            except ConnectionLost:
                if self._failure is not None:
                    raise
            except MCPCError as exc:
                if not is_repeated or not arrived(exc):
                    raise
                return {}

    async def _after(self, last: ClientSession | None) -> ClientSession:
        """The session to ask next: that of another connection, or of the same one where that still stands."""
        has_waited = last is not None
        if has_waited:
            with anyio.move_on_after(self._pause):
                await self._connected.wait()
        while True:
            connected = self._connected
            if has_waited and self._failure is not None:
                raise ConnectionLost(str(self._failure)) from self._failure
            try:
                return self._session()
            except ConnectionLost:
                if self._failure is not None:
                    raise
            await connected.wait()
            has_waited = True
