"""Where background work of a server lives: tasks that outlive requests and connections.

A request's own task group ends with its connection, and the SDK may enter a
server's lifespan once for each connection, so neither can hold a task that
outlives a drop. The host's belong to the event loop itself, and are there for as
long as anything holds the host.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from mcpc.ending import left_behind
from mcpc.errors import MCPCError
from mcpc.server.crew import Crew

__all__ = ["Host"]

T = TypeVar("T")

CLOSE_PATIENCE = 1.0
"""Seconds that what runs has to end once it is cancelled."""


class Host:
    """A home for background tasks; `async with host.hold():` keeps it open."""

    def __init__(self) -> None:
        self.holders: int = 0
        """How many hold it open."""
        self._crew: Crew | None = None
        self._token: Any = None
        self._thread = 0

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Keep the host open; the last one out cancels what still runs and waits for it, for a moment."""
        self._check_loop()
        self.holders += 1
        try:
            if self._crew is None or self._crew.is_ending:
                self._open()
            yield
        finally:
            self.holders -= 1
            if self.holders == 0:
                await self._close()

    def _check_loop(self) -> None:
        if self.holders and self._thread != threading.get_ident():
            raise MCPCError("this server is being served by another event loop; serve it from one loop at a time")

    def _open(self) -> None:
        self._thread = threading.get_ident()
        self._token = anyio.lowlevel.current_token()
        self._crew = Crew()

    async def _close(self) -> None:
        crew = self._crew
        assert crew is not None
        crew.cancel()
        with anyio.move_on_after(CLOSE_PATIENCE, shield=True) as patience:
            await crew.ended()
        if self._crew is crew:
            self._crew = None
        if patience.cancelled_caught:
            left_behind("a worker would not end although it was cancelled, and was left behind", anything=True)

    @property
    def is_open(self) -> bool:
        """Whether background tasks can be started."""
        return self._crew is not None

    def spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in the background. What it raises is logged, and harms nothing else.

        Raises:
            MCPCError: the server is not being served.
        """
        if self._crew is None:
            raise MCPCError("the server is not being served, so nothing can run in the background")
        self._crew.spawn(main)

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the host's thread."""
        return self._thread == threading.get_ident()

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the host's loop, from any thread, and wait for its result."""
        if self.is_here or self._token is None:
            return function()
        return anyio.from_thread.run_sync(function, token=self._token)

    async def acall(self, function: Callable[[], T]) -> T:
        """Run `function` in the host's loop, from any loop, without blocking the caller's."""
        if self.is_here or self._token is None:
            return function()
        return await anyio.to_thread.run_sync(self.call, function)

    async def arun(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `function` in the host's loop and await it there, from any loop, without blocking the caller's."""
        if self.is_here or self._token is None:
            return await function()
        token = self._token
        return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(function, token=token))
