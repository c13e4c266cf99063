"""A connection to the server that more than one task uses, and what ends with it."""

import logging
from collections.abc import Mapping

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from mcpc.bridge.links import Link, Parcel, Target
from mcpc.bridge.pipe import GONE, UNREACHABLE
from mcpc.errors import ConnectionLost, FrameError, MCPCError, TransportError
from mcpc.groups import errors_told
from mcpc.logs import logger_of
from mcpc.wire.message import Message

__all__ = ["Upstream"]

logger: logging.Logger = logger_of(__name__)


class Upstream:
    """One connection to the server, read by a task of its own (`run`). What it reads goes to `take`.

    Args:
        target: The server.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._link: Link | None = None
        self._scope = anyio.CancelScope()
        self._settled = anyio.Event()
        """Set when the connection stands, or could not be made."""
        self._failure: MCPCError | None = None
        self._bad = 0
        self.tasks: anyio.abc.TaskGroup | None = None
        """For what must not hold up the reading; ends with the connection."""

    @property
    def ended(self) -> bool:
        """Whether the connection is gone, or was never made."""
        return self._failure is not None

    async def run(self) -> None:
        """Dial, and read until the server is gone or `close` is called. Raises nothing that the peers caused."""
        try:
            with errors_told(self._failed), self._scope:
                async with self._target.open() as link, anyio.create_task_group() as tasks:
                    self._link, self.tasks = link, tasks
                    self._settled.set()
                    await self._read(link)
                    tasks.cancel_scope.cancel()
        finally:
            self._failure = ConnectionLost(GONE if self._link is not None or self._scope.cancel_called else UNREACHABLE)
            self._settled.set()
            self.on_end(str(self._failure))

    def _failed(self, error: Exception) -> None:
        is_ours = not isinstance(error, MCPCError)
        logger.warning(
            "a bridged connection to %s failed: %s", self._target.uri, error, exc_info=error if is_ours else None
        )

    async def _read(self, link: Link) -> None:
        while True:
            try:
                parcel = await link.receive()
            except FrameError as exc:
                self._bad += 1
                if self._bad == 1:
                    logger.warning("not passed on, as it is not an MCP message: %s (said once)", exc)
                self.on_bad(exc)
                continue
            except TransportError:
                return
            await self.take(parcel)

    async def until_settled(self) -> None:
        """Wait until the connection stands, or could not be made."""
        await self._settled.wait()

    async def send(self, message: Message, headers: Mapping[str, str] | None = None) -> None:
        """Send one message, once the connection stands.

        Raises:
            MCPCError: there is no connection, or it is gone.
        """
        await self.until_settled()
        if self._failure is not None:
            raise self._failure
        assert self._link is not None
        await self._link.send(Parcel(message, headers=headers))

    def close(self) -> None:
        """End the connection. Returns at once."""
        self._scope.cancel()

    async def take(self, parcel: Parcel) -> None:
        """One message from the server: for the heirs to say where it goes."""
        await checkpoint()

    def on_bad(self, error: FrameError) -> None:
        """Something from the server was not a message."""

    def on_end(self, reason: str) -> None:
        """The connection is gone: nobody who waits on it gets an answer."""
