"""The SDK's client, entered and left by anybody, and connected again when its connection is lost.

Knows nothing of channels, callbacks and tasks: who builds on it is told of each connection.
"""

import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio.abc
import mcp
from mcp.client import ClientSession
from mcp.client.client import ConnectMode

from mcpc.client.background import Background
from mcpc.client.backoff import Backoff
from mcpc.client.connecting import Connector, InProcess
from mcpc.client.direct import DirectWay
from mcpc.client.life import LOST, ConnectionState, Life, Steps
from mcpc.client.opening import Opening
from mcpc.errors import ConnectionLost
from mcpc.foreign import hold_back_sync
from mcpc.logs import logger_of
from mcpc.sdk import dispatch_through, forget_entry, has_session
from mcpc.transport import StreamPair

__all__ = ["ReconnectingClient"]

logger: logging.Logger = logger_of(__name__)


class _TappedTransport:
    """A transport whose streams pass our taps; entered once for each connection."""

    def __init__(self, inner: Any, enter: Callable[[StreamPair], StreamPair]) -> None:
        self._inner = inner
        self._enter = enter

    async def __aenter__(self) -> StreamPair:
        return self._enter(await self._inner.__aenter__())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class ReconnectingClient(mcp.Client):
    """An MCP client that lives for longer than its connection.

    It may be entered in one task and left in another, and several may be left in any order.

    Args:
        opening: How it comes to its connection.
        reconnect: Dial again when the connection is lost; None to go by the transport. A `Backoff` says how.
        reconnect_timeout: Seconds after which to give up dialling; None never gives up.
        on_connection: Called with `connected`, `lost` and `closed`.
        options: What `mcp.Client` takes.
    """

    def __init__(
        self,
        opening: Opening,
        reconnect: bool | Backoff | None,
        reconnect_timeout: float | None,
        on_connection: Callable[[ConnectionState], None] | None,
        **options: Any,
    ) -> None:
        transport, enter = opening.transport, self._tap
        if isinstance(transport, InProcess) and not transport.byte_true:
            way = DirectWay(transport, enter, self._may_overtake)
            super().__init__(_TappedTransport(transport, way.enter), **options)
            dispatch_through(self, way.dispatcher)
        else:
            super().__init__(_TappedTransport(transport, enter), **options)
        self.reconnect: bool = opening.redialled if reconnect is None else bool(reconnect)
        """Whether a connection that is lost is dialled again."""
        self.reconnect_timeout: float | None = reconnect_timeout
        """Seconds after which dialling is given up."""
        self._steps = steps = Steps(self._connection, self._begin, self._fall_back, partial(_report, on_connection))
        self._life = Life(steps, reconnect if isinstance(reconnect, Backoff) else Backoff(), opening.patience)
        self._can_redial = isinstance(opening.transport, Connector)
        self._background = Background(lambda: self._lost(ConnectionLost(LOST), tell=True))

    async def __aenter__(self) -> Self:
        """Connect, shake hands, and listen.

        Raises:
            ConnectFailed: nobody answered, or the peer refused us.
        """
        if self._background.runs:
            raise RuntimeError("Client is already entered; cannot reenter")
        await self._background.start(self._live)
        return self

    async def __aexit__(self, *raised: Any) -> None:
        """Leave, in this task or another. Tasks on the server go on; their handles here end as lost."""
        if self._background.runs:
            self._lost(ConnectionLost("the client was closed"), tell=False)
            await self._background.end()
            self._steps.report("closed")

    async def _live(self, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Hold a connection, and make a new one when it is lost."""
        async with self._held():
            await self._life.hold_first(task_status)
            timeout = self.reconnect_timeout if self.reconnect else 0.0
            self._lost(await self._life.hold_others(timeout), tell=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None]:
        forget_entry(self)
        await super().__aenter__()
        try:
            yield
        finally:
            self._disconnected()
            await super().__aexit__(None, None, None)

    def _fall_back(self) -> bool:
        """A server that dies of the probe for the newer era is dialled again in the older one."""
        if self.mode != "auto" or not self._can_redial:
            return False
        logger.info("the server closed the connection when probed for the newer protocol; trying the older one")
        self.mode: ConnectMode = "legacy"
        return True

    @property
    def last_failure(self) -> str:
        """Why the last connection was lost, or could not be made anew; empty where nobody knows."""
        return self._life.last_failure

    def _spawn(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in the background until the client is left."""
        self._background.spawn(main)

    @property
    def session(self) -> ClientSession:
        """The session of the present connection.

        Raises:
            ConnectionLost: there is no connection now.
            RuntimeError: the client was not entered, or was left.
        """
        if not self._background.runs:
            raise RuntimeError("the client must be entered first: async with mcpc.Client(...) as client")
        if not has_session(self):
            raise ConnectionLost("there is no connection to the server now")
        return super().session

    # --- told to who builds on it ---

    @abstractmethod
    def _tap(self, streams: StreamPair) -> StreamPair:
        """The streams of a new connection, as they shall be used."""

    @abstractmethod
    def _held(self) -> AbstractAsyncContextManager[None]:
        """What is held from before the first connection until after the last one."""

    @abstractmethod
    async def _begin(self, group: anyio.abc.TaskGroup) -> None:
        """A connection is made; what is begun in the group ends with it."""

    @abstractmethod
    def _may_overtake(self) -> bool:
        """Whether the server has heard what was begun with the connection, so that requests may take another way."""

    @abstractmethod
    def _disconnected(self) -> None:
        """A connection has ended."""

    @abstractmethod
    def _lost(self, failure: Exception, *, tell: bool) -> None:
        """There will be no other connection; `tell` where nobody asked for that."""


def _report(told: Callable[[ConnectionState], None] | None, state: ConnectionState) -> None:
    if told is not None:
        try:
            told(state)
        except BaseException as exc:
            logger.error("on_connection raised", exc_info=exc)
            hold_back_sync(exc)
