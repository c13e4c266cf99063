"""`watch`: a task that is silent for too long, or takes too long, is stopped, and its handle ends.

Knows neither connections nor messages. It holds the handle weakly: one that nobody holds is gone.
"""

import logging
from collections.abc import Callable
from weakref import ref

import anyio
from mcp.shared.exceptions import MCPError

from mcpc.client.handle import TaskHandle
from mcpc.client.patience import Patience
from mcpc.errors import MCPCError, TimedOut
from mcpc.flow import Flow
from mcpc.logs import logger_of

__all__ = ["GOODBYE", "Watch"]

logger: logging.Logger = logger_of(__name__)

GOODBYE = 1.0
"""Seconds that stopping such a task may take."""


class Watch:
    """Watches one task.

    Args:
        handle: Its handle.
        patience: How long it may be silent, and take.
        flow: While it is stopped, we do not read: that is not the task's silence.
        forget: Told of the handle, when it has ended here.
    """

    def __init__(
        self, handle: TaskHandle, patience: Patience, flow: Flow, forget: Callable[[TaskHandle], None]
    ) -> None:
        self._handle = ref(handle)
        self._patience = patience
        self._flow = flow
        self._forget = forget
        self._over = anyio.Event()
        handle.on_news = self._heard

    def _heard(self, ended: bool) -> None:
        self._patience.renew()
        if ended:
            self._over.set()

    async def run(self) -> None:
        """Until the task has ended, or its handle has gone."""
        while not self._over.is_set():
            try:
                with self._patience.watching():
                    await self._over.wait()
            except TimedOut as exc:
                if exc.limit == "max_timeout" or not self._has_reason():
                    await self._end(exc)
                    return

    def _has_reason(self) -> bool:
        """Whether the silence is ours: we do not read, or were asked."""
        handle = self._handle()
        return self._flow.stopped or (handle is not None and handle.status == "waiting")

    async def _end(self, error: TimedOut) -> None:
        handle = self._handle()
        if handle is None or handle.ended:
            return
        steering = handle.steering
        handle.lose(error)
        self._forget(handle)
        with anyio.move_on_after(GOODBYE):
            try:
                await steering.stop()
            except (MCPCError, MCPError) as exc:
                logger.debug("a task that took too long could not be stopped: %s", exc)
