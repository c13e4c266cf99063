"""`Background`: the tasks of one client, which may be entered in one task and left in another.

A task group must be left by the task that entered it, and in the order of entering. A
fixture, a web framework or a notebook keeps neither: so the group is in a task of its own,
and whoever enters and leaves only waits for it. Knows nothing of what runs there.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.abc

from mcpc.client.life import unwrapped
from mcpc.detached import spawn_detached
from mcpc.logs import logger_of

__all__ = ["Background"]

logger: logging.Logger = logger_of(__name__)

Main = Callable[[anyio.abc.TaskStatus[None]], Awaitable[None]]
"""Runs first, and says when it has begun. What it began in the background goes on after it."""


_inside: ContextVar["Background | None"] = ContextVar("mcpc_client_background", default=None)


class Background:
    """Runs tasks from `start` to `end`, in whichever task either is called.

    Args:
        on_crash: Called if an error ends it early; there should be none.
    """

    def __init__(self, on_crash: Callable[[], None]) -> None:
        self._on_crash = on_crash
        self._group: anyio.abc.TaskGroup | None = None
        self._scope: anyio.CancelScope | None = None
        self._over = anyio.Event()
        self._failure: BaseException | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended."""
        return self._scope is not None

    def spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in the background; does nothing where there is none."""
        if self._group is not None:
            self._group.start_soon(main)

    async def start(self, main: Main) -> None:
        """Run `main`, and return once it has begun.

        Raises:
            Exception: what `main` raised before.
        """
        begun, self._over, self._failure = anyio.Event(), anyio.Event(), None
        self._scope = scope = anyio.CancelScope()
        spawn_detached(lambda: self._run(scope, main, begun))
        try:
            await begun.wait()
        except BaseException:
            await self.end()
            raise
        if self._failure is not None:
            await self.end()
            cause = unwrapped(self._failure)
            raise cause from cause.__cause__

    async def end(self) -> None:
        """Cancel what runs, and wait until it has ended. Does nothing where nothing runs."""
        scope, self._scope, self._group = self._scope, None, None
        if scope is None:
            return
        scope.cancel()
        if _inside.get() is not self:  # what runs there cannot wait for its own end
            with anyio.CancelScope(shield=True):
                await self._over.wait()

    async def _run(self, scope: anyio.CancelScope, main: Main, begun: anyio.Event) -> None:
        _inside.set(self)
        try:
            with scope:
                async with anyio.create_task_group() as self._group:
                    await main(_Begun(begun))
                    await anyio.sleep_forever()
        except BaseException as exc:  # a task of the event loop itself must not raise
            self._failure = exc
            if scope.cancel_called:  # a connection that is let go of may fail at that, and nobody needs it any more
                logger.debug("a client's connection failed while it was left", exc_info=exc)
            elif begun.is_set() and isinstance(exc, Exception):
                logger.error("the background of a client ended with an error", exc_info=exc)
                self._on_crash()
        finally:
            begun.set()
            self._over.set()


class _Begun:
    """A task status that sets an event."""

    def __init__(self, begun: anyio.Event) -> None:
        self._begun = begun

    def started(self, value: None = None) -> None:
        """It has begun."""
        self._begun.set()
