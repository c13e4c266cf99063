"""Where background work of a server lives: a task group that outlives requests and connections.

A request's own task group ends with its connection, and the SDK may enter a
server's lifespan once for each connection, so neither can hold a task that
outlives a drop. The host is a task of its own, there for as long as anything
holds it.
"""

import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from mcpc.detached import spawn_detached
from mcpc.ending import left_behind
from mcpc.errors import MCPCError
from mcpc.logs import logger_of

__all__ = ["Host"]

logger: logging.Logger = logger_of(__name__)

T = TypeVar("T")

CLOSE_PATIENCE = 1.0
"""Seconds that what runs has to end once it is cancelled."""


class Host:
    """A home for background tasks; `async with host.hold():` keeps it open."""

    def __init__(self) -> None:
        self.holders: int = 0
        """How many hold it open."""
        self._tasks: anyio.abc.TaskGroup | None = None
        self._token: Any = None
        self._thread = 0
        self._ended: anyio.Event | None = None

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Keep the host open; the last one out cancels what still runs and waits for it, for a moment."""
        self._check_loop()
        self.holders += 1
        try:
            if self._tasks is None:
                await self._open()
            yield
        finally:
            self.holders -= 1
            if self.holders == 0:
                await self._close()

    def _check_loop(self) -> None:
        if self.holders and self._thread != threading.get_ident():
            raise MCPCError("this server is being served by another event loop; serve it from one loop at a time")

    async def _open(self) -> None:
        ready, ended = anyio.Event(), anyio.Event()

        async def main() -> None:
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    ready.set()
                    await anyio.sleep_forever()
            finally:
                if self._ended is ended:
                    self._tasks = None
                ended.set()

        self._thread = threading.get_ident()
        self._token = anyio.lowlevel.current_token()
        self._ended = ended
        spawn_detached(main)
        await ready.wait()

    async def _close(self) -> None:
        if self._tasks is None or self._ended is None:
            return
        ended = self._ended
        self._tasks.cancel_scope.cancel()
        with anyio.move_on_after(CLOSE_PATIENCE, shield=True):
            await ended.wait()
        if not ended.is_set():
            self._tasks = self._ended = None
            left_behind("a worker would not end although it was cancelled, and was left behind", anything=True)

    @property
    def is_open(self) -> bool:
        """Whether background tasks can be started."""
        return self._tasks is not None

    def spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in the background. What it raises is logged, and harms nothing else.

        Raises:
            MCPCError: the server is not being served.
        """
        if self._tasks is None:
            raise MCPCError("the server is not being served, so nothing can run in the background")
        self._tasks.start_soon(_guarded, main)

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


async def _guarded(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main`; an error of one must not end the others."""
    try:
        await main()
    except Exception:
        logger.exception("background work of the server failed")
