"""`connect`: a URI as one of the SDK's transports, for `mcp.Client`, `ClientSession`, and our own client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from mcpc.errors import MCPCError
from mcpc.framing import Connection
from mcpc.later import later
from mcpc.options import ConnectOptions, merged
from mcpc.transport import URI, FrameChannel, StreamPair, traits_of
from mcpc.uri import dial, prepare

if TYPE_CHECKING:
    from mcpc.server import serving
else:
    serving = later("mcpc.server.serving")  # most clients serve nothing

__all__ = ["Connector", "InProcess", "connect"]


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
            return await _framed(stack, opened)
        return opened

    def __repr__(self) -> str:
        return f"<mcpc connection to {self.uri}>"


class InProcess(_Transport):
    """A server object as a transport: served in this process, at no address, real bytes between the two."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self._server = server

    async def _open(self, stack: AsyncExitStack) -> StreamPair:
        return await _framed(stack, await stack.enter_async_context(serving.joined(self._server)))


async def _framed(stack: AsyncExitStack, channel: FrameChannel) -> StreamPair:
    """The SDK's streams over a channel."""
    return (await stack.enter_async_context(Connection(channel, side="client").open())).streams


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
