"""`connect`: a URI as one of the SDK's transports, for `mcp.Client`, `ClientSession`, and our own client."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import anyio
from mcp_types import ErrorData, JSONRPCRequest

from mcpc.errors import MCPCError
from mcpc.framing import Connection
from mcpc.later import later
from mcpc.options import ConnectOptions, merged
from mcpc.transport import URI, FrameChannel, StreamPair, traits_of
from mcpc.uri import dial, prepare

if TYPE_CHECKING:
    from mcpc.server import joined
else:
    joined = later("mcpc.server.joined")  # most clients serve nothing

__all__ = ["Begun", "Connector", "InProcess", "Requests", "connect"]


class _Transport(ABC):
    """One of the SDK's transports: `async with` it for the streams. May be entered again once it is left."""

    def __init__(self) -> None:
        self._stack: AsyncExitStack | None = None

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> StreamPair:
        """Open what it takes, on `stack`."""

    async def __aenter__(self) -> StreamPair:
        if self._stack is not None:
            raise MCPCError("this connection is in use; call mcpc.connect() once for each")
        async with AsyncExitStack() as stack:
            streams = await self._open(stack)
            self._stack = stack.pop_all()
        return streams

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        await _leave(stack, exc_val)


class Connector(_Transport):
    """A URI as a transport.

    Raises:
        URIError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
    """

    def __init__(self, uri: str | URI, options: Mapping[str, Any]) -> None:
        super().__init__()
        parsed, transport = prepare(uri, "connect", options)
        self.uri: URI = parsed
        self.redialled: bool = traits_of(transport).redialled
        """Dialling again reaches the same server."""
        self.heartbeat: bool = traits_of(transport).heartbeat
        """Nothing but asking tells whether the server still answers."""
        self.options: dict[str, Any] = dict(options)
        """What it is dialled with."""

    async def _open(self, stack: AsyncExitStack) -> StreamPair:
        opened = await stack.enter_async_context(dial(self.uri, **self.options))
        if isinstance(opened, FrameChannel):
            return (await _opened(stack, opened)).streams
        return opened

    def __repr__(self) -> str:
        return f"<mcpc connection to {self.uri}>"


class Begun(Protocol):
    """A request that a server in this process handles without a message."""

    outcome: dict[str, Any] | ErrorData | None
    settled: anyio.Event
    """Set with the outcome."""

    def arrive(self) -> None:
        """What stands for the answer has come over the connection, and with it all that was sent before."""
        ...

    def close(self) -> None:
        """It will not be answered."""
        ...


class Requests(Protocol):
    """Takes such requests."""

    def begin(self, request: JSONRPCRequest) -> Begun:
        """Let one be handled."""
        ...

    def end(self, begun: Any) -> None:
        """The caller has its answer, or wants none any more."""
        ...


class InProcess(_Transport):
    """A server object as a transport: served in this process, at no address.

    Args:
        server: The server.
        byte_true: Real bytes go between the two, as over a socket; else most requests need no messages.
    """

    def __init__(self, server: Any, *, byte_true: bool = False) -> None:
        super().__init__()
        self.byte_true = byte_true
        self._server = server
        self._requests: Requests | None = None
        self._is_quiet: Callable[[], bool] = _never

    @property
    def requests(self) -> Requests:
        """The shorter way to the server, while it is served."""
        assert self._requests is not None
        return self._requests

    @property
    def is_quiet(self) -> bool:
        """Whether the server has taken all that was sent to it over the connection."""
        return self._is_quiet()

    async def _open(self, stack: AsyncExitStack) -> StreamPair:
        channel, self._requests = await stack.enter_async_context(joined.joined(self._server, byte_true=self.byte_true))
        connection = await _opened(stack, channel)
        self._is_quiet = lambda: connection.is_idle and channel.is_read
        return connection.streams


async def _opened(stack: AsyncExitStack, channel: FrameChannel) -> Connection:
    """The connection over a channel."""
    return await stack.enter_async_context(Connection(channel, side="client").open())


def _never() -> bool:
    return False


async def _leave(stack: AsyncExitStack | None, exc: BaseException | None) -> None:
    """Close what was opened. An ordinary exception is not shown to the task groups inside: they would wrap it."""
    if stack is None:
        return
    if exc is None or isinstance(exc, Exception):
        await stack.aclose()
    else:
        await stack.__aexit__(type(exc), exc, exc.__traceback__)


def connect(
    uri: str | URI, *, transport_options: Mapping[str, Any] | None = None, **options: Unpack[ConnectOptions]
) -> Connector:
    """One of the SDK's transports for `uri`: `mcp.Client(mcpc.connect(uri))`, or `async with` it for the streams.

    Args:
        uri: Where, such as `ws://127.0.0.1:8765/mcp` or `stdio:python server.py`.
        transport_options: More of them, for a transport whose options are not among these.
        options: The transport's options for connecting.

    Raises:
        URIError: the address or an option cannot be used. (On entering: `ConnectFailed`.)
        TypeError: there is no such option, or it is given twice.
    """
    return Connector(uri, merged(options, transport_options))
