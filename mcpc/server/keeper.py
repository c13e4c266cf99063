"""Keeps the store open while the server is served, with the tasks that belong to it. Lives in the server's host."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import anyio

from mcpc.errors import MCPCError
from mcpc.groups import errors_told
from mcpc.logs import logger_of

if TYPE_CHECKING:
    from mcpc.store import Store

__all__ = ["Keeper", "Source"]

logger: logging.Logger = logger_of(__name__)

PAUSE = 1.0
"""Seconds before a chore that failed is begun again."""

Source = Callable[[], AbstractAsyncContextManager["Store"]]
"""Opens the store."""
Chore = Callable[[], Coroutine[Any, Any, None]]
"""Something to be done as long as the store is open."""
Spawn = Callable[[Chore], None]


class Keeper:
    """The store of one server, open or not.

    Args:
        source: Opens the store.
        begin: Called with the store once it is open, before anything else is done with it; gives the chores.
    """

    def __init__(self, source: Source, begin: "Callable[[Store], Awaitable[Sequence[Chore]]]") -> None:
        self._source = source
        self._begin = begin
        self._store: Store | None = None
        self._failure: Exception | None = None
        self._opened = anyio.Event()
        self._closing = anyio.Event()
        self._closed = anyio.Event()

    def store(self) -> "Store":
        """The store.

        Raises:
            MCPCError: it is not open: the server is not being served.
        """
        if self._store is None:
            raise MCPCError("the server is not being served, so its store is not open")
        return self._store

    async def open(self, spawn: Spawn) -> None:
        """Open the store, in the background.

        Raises:
            URIError, StoreError: it cannot be opened.
        """
        self._failure = None
        self._opened, self._closing, self._closed = anyio.Event(), anyio.Event(), anyio.Event()
        spawn(self._keep)
        await self.opened()

    async def opened(self) -> None:
        """Wait until it is open.

        Raises:
            URIError, StoreError: it cannot be opened.
        """
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End the chores, close the store, and wait for that."""
        self._closing.set()
        with anyio.CancelScope(shield=True):
            await self._closed.wait()

    async def _keep(self) -> None:
        try:
            async with self._source() as store:
                self._store = store
                chores = await self._begin(store)
                async with anyio.create_task_group() as tasks:
                    for chore in chores:
                        tasks.start_soon(_for_ever, chore)
                    self._opened.set()
                    await self._closing.wait()
                    tasks.cancel_scope.cancel()
        except MCPCError as exc:
            self._failure = exc  # raised where the store is waited for, which no task group wraps
        finally:
            self._store = None
            self._opened.set()
            self._closed.set()


async def _for_ever(chore: Chore) -> None:
    """Do a chore; what it fails with ends neither the others nor the store."""
    while True:
        with errors_told(_failed):
            await chore()
        await anyio.sleep(PAUSE)


def _failed(error: Exception) -> None:
    logger.error("work on the store failed; it is begun again", exc_info=error)
