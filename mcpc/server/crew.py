"""Tasks that are begun one by one and ended together, each of which fails alone.

A task group would not do: it ends as a whole where one of its tasks raises. And what a task of it raises may never pass
through our frames: on asyncio a `GeneratorExit` from a thread closes them all, and goes on at the outermost. Here the
outermost is ours. Knows nothing of what runs.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio

from mcpc.detached import spawn_detached
from mcpc.foreign import hold_back_sync, is_closed
from mcpc.logs import logger_of

__all__ = ["Crew"]

logger: logging.Logger = logger_of(__name__)


class Crew:
    """Tasks of one event loop."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        """One for each task that has not ended."""
        self._ended: anyio.Event | None = None
        """Set when all have ended; made when they are to."""

    @property
    def is_ending(self) -> bool:
        """Whether they are to end."""
        return self._ended is not None

    def spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main`. What it raises is logged, and harms nothing else. Where all end, it is cancelled at once."""
        scope = anyio.CancelScope()
        if self.is_ending:
            scope.cancel()
        self._scopes.add(scope)
        spawn_detached(partial(self._run, main, scope))

    async def _run(self, main: Callable[[], Coroutine[Any, Any, None]], scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await main()
        except anyio.get_cancelled_exc_class():
            raise  # with the event loop
        except BaseException as exc:
            if isinstance(exc, GeneratorExit) and is_closed():
                raise
            hold_back_sync(exc)
            logger.error("background work of the server failed", exc_info=exc)
        finally:
            self._scopes.discard(scope)
            if self._ended is not None and not self._scopes:
                self._ended.set()

    def cancel(self) -> None:
        """Cancel all that runs, and what comes."""
        self._ended = self._ended or anyio.Event()
        for scope in tuple(self._scopes):
            scope.cancel()
        if not self._scopes:
            self._ended.set()

    async def ended(self) -> None:
        """Wait until all have ended that were cancelled."""
        assert self._ended is not None
        await self._ended.wait()
