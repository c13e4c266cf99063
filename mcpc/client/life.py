"""The life of a client's connection: made, held until it is lost, and made anew."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint_if_cancelled
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from mcpc.client.backoff import Backoff
from mcpc.client.counters import count_reconnection
from mcpc.errors import ConnectFailed, ConnectionLost, ConnectRefused, TransportError
from mcpc.logs import logger_of

__all__ = ["LOST", "ConnectionState", "Life", "Steps", "unwrapped"]

logger: logging.Logger = logger_of(__name__)

ConnectionState = Literal["connected", "lost", "closed"]
"""What becomes of a client's connection; `closed` once the client is."""

T = TypeVar("T")

STABLE = 5.0
"""Seconds that a connection must last: only then is the next one dialled without a longer wait than the last time."""

LOST = "the connection to the server was lost"
CLOSED_EARLY = "the server closed the connection during the handshake"
TOO_LATE = "the server took the connection, and did not answer in time (see open_timeout)"


@dataclass(frozen=True)
class Steps:
    """What is done for each connection."""

    connection: Callable[[], AbstractAsyncContextManager[None]]
    """Makes one, and lets go of it."""
    begin: Callable[[anyio.abc.TaskGroup], Awaitable[None]]
    """Shakes hands, and listens in the group, which ends with the connection."""
    fall_back: Callable[[], bool]
    """The server died of the first message: try another one from now on; False where there is none."""
    report: Callable[[ConnectionState], None]
    """Told `connected` and `lost`."""


class Life:
    """Holds one connection at a time.

    Args:
        steps: What is done for each.
        backoff: How long to wait before dialling again.
        patience: Seconds from dialling to the end of the handshakes; None for any time.
    """

    def __init__(self, steps: Steps, backoff: Backoff, patience: float | None = None) -> None:
        self._patience = float("inf") if patience is None else patience
        self._steps = steps
        self._backoff = backoff
        self._lost = anyio.Event()
        self._why = ""
        """Why the last connection that was lost was lost."""
        self.last_failure: str = ""
        """The same, or why the last one could not be made; empty where nobody knows."""

    def end_connection(self, why: Exception | None = None) -> None:
        """The present connection is lost.

        Args:
            why: What its stream ended with, where that is known.
        """
        if not self._lost.is_set():
            self._why = self.last_failure = str(why) if isinstance(why, TransportError) else ""
        self._lost.set()

    def explained(self, what: str) -> str:
        """A sentence about a lost connection, with the reason, where the transport gave one."""
        return f"{what}: {self._why}" if self._why and self._why not in what else what

    async def explaining(self, request: Awaitable[T]) -> T:
        """What a request gives; one that fails with the connection says why that was lost."""
        try:
            return await request
        except ConnectionLost as exc:
            raise ConnectionLost(self.explained(str(exc))) from exc
        except MCPError as exc:
            if exc.code != CONNECTION_CLOSED:
                raise
            raise MCPError(exc.code, self.explained(exc.message), exc.error.data) from exc

    async def hold_first(self, task_status: anyio.abc.TaskStatus[None]) -> None:
        """The first connection, until it is lost.

        Raises:
            ConnectFailed: the server closed it before it had begun.
            Exception: whatever else kept it from beginning.
        """
        status = _Started(task_status)
        try:
            await self._hold(status)
        except Exception as exc:
            cause = unwrapped(exc)
            if not isinstance(cause, MCPError) or cause.code != CONNECTION_CLOSED or status.was_started:
                raise
            if not self._steps.fall_back():
                raise ConnectFailed(self.explained(CLOSED_EARLY)) from exc
            await self.hold_first(task_status)

    async def hold_others(self, timeout: float | None) -> Exception:
        """One connection after another, as `hold_next` does; why there is none any more."""
        try:
            while await self.hold_next(timeout):
                pass
        except ConnectRefused as exc:
            return exc
        return ConnectionLost(self.explained(LOST))

    async def hold_next(self, timeout: float | None) -> bool:
        """Dial until a connection is made and lost again; False when it is time to give up.

        Args:
            timeout: Seconds after which it is; None never gives up.

        Raises:
            ConnectRefused: the peer does not want us; trying again would not help.
        """
        status = _Started()
        give_up_at = anyio.current_time() + (float("inf") if timeout is None else timeout)
        while anyio.current_time() < give_up_at:
            await self._backoff.wait()
            try:
                await self._hold(status, give_up_at)
            except Exception as exc:
                cause = unwrapped(exc)
                if isinstance(cause, ConnectRefused):
                    raise cause from cause.__cause__
                self.last_failure = str(cause)
                logger.debug("dialling again failed: %s", cause)
            if status.was_started:
                if anyio.current_time() - status.started_at >= STABLE:
                    self._backoff.succeeded()
                return True
        return False

    async def _hold(self, status: "_Started", give_up_at: float = float("inf")) -> None:
        """One connection, from dialling to its loss."""
        self._lost = anyio.Event()
        # One scope around everything: scopes nest, and what is opened in this one outlives the opening.
        with anyio.CancelScope(deadline=min(anyio.current_time() + self._patience, give_up_at)) as opening:
            async with self._steps.connection(), anyio.create_task_group() as group:
                group.start_soon(self._until_lost, group.cancel_scope)
                await self._steps.begin(group)
                await checkpoint_if_cancelled()  # the time may have ended in the very turn in which it had begun
                opening.deadline = float("inf")
                self._steps.report("connected")
                status.started()
                await anyio.sleep_forever()
        if opening.cancelled_caught:
            raise ConnectFailed(TOO_LATE)
        if not status.was_started:
            raise ConnectFailed(self.explained(CLOSED_EARLY))
        self._steps.report("lost")

    async def _until_lost(self, scope: anyio.CancelScope) -> None:
        await self._lost.wait()
        scope.cancel()


class _Started:
    """A task status that remembers whether it was started.

    Args:
        inner: Told of the first start; None where it is a connection made anew.
    """

    def __init__(self, inner: anyio.abc.TaskStatus[None] | None = None) -> None:
        self.was_started = False
        self.started_at = 0.0
        self._inner = inner

    def started(self, value: Any = None) -> None:
        """Remember it."""
        if self._inner is None:
            count_reconnection()
        if self._inner is not None and not self.was_started:
            self._inner.started()
        self.was_started = True
        self.started_at = anyio.current_time()


def unwrapped(exc: BaseException) -> BaseException:
    """The one error inside nested groups of one."""
    found = exc
    while isinstance(found, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", found).exceptions
        if len(inner) != 1:
            return exc
        found = inner[0]
    return found
