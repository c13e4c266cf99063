"""What a transport is: the protocols an adapter implements, and their contract.

A *transport* serves one or more URI schemes. It makes connections (`connect`)
and accepts them (`listen`). There are two kinds, by what a connection is made of:

- A **frame transport** carries frames: `bytes`, one JSON-RPC message each. Its
  `connect` yields a `FrameChannel`, and its listener hands one to
  `Endpoint.serve_channel` for each connection. Everything above (validation,
  callbacks, batching) is then the core's, so an adapter is short.
- A **stream transport** wraps something that already speaks MCP, as the SDK's
  HTTP transports do. Its `connect` yields the SDK's `(read, write)` streams, and
  its listener drives `Endpoint.server` itself.

The contract of a `FrameChannel`
--------------------------------
*Whole and in order.* Frames arrive as they were sent, each whole, or not at all.

*One sender, one receiver.* The core calls `send` from one task at a time and
`receive` from one task at a time; the two run side by side. An adapter needs no
locks.

*Three endings*, told apart by the exception: we closed it (`ChannelClosed`), the
peer ended it in good order (`ChannelEnded`), the world broke it
(`ChannelBroken`). Methods raise only these, and `receive` also `FrameError`: one
frame was bad, and `receive` may be called again.

*Cancellation.* A cancelled `receive` loses nothing: the frame comes with the next
call. A cancelled `send` that had begun to write may leave a torn frame; the
channel must then refuse all further sends with `ChannelBroken`.

*Back-pressure.* `send` waits while the peer does not read. It never buffers
without bound.

*Without waiting* is optional (`ImmediateChannel`): `send_nowait` is called where
nothing else waits to be sent, and never while a `send` runs; a `tap` is shown each
frame as soon as it is there. Each saves a turn of the event loop.

*Closing.* `aclose` may be called at any time, from any task, more than once. It
wakes a waiting `send` and `receive`, and returns within a bounded time even if
the peer is gone. What was sent before it still reaches a peer that reads.

Options are the keyword-only parameters of `connect` and `listen`: an option that
is not among them is refused before the adapter is called.

`mcpc.testing.check_transport` runs this contract against any transport.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable
from urllib.parse import unquote

import anyio

if TYPE_CHECKING:  # a shell that completes an address needs no SDK
    from mcp.server import Server
    from mcp.server.auth.provider import AccessToken
    from mcp.shared.message import SessionMessage

__all__ = [
    "DEFAULT_MAX_ANSWER_SIZE",
    "DEFAULT_MAX_MESSAGE_SIZE",
    "URI",
    "Declared",
    "EndingListener",
    "Endpoint",
    "FrameChannel",
    "ImmediateChannel",
    "Listener",
    "Peer",
    "ReadStream",
    "RoutedEndpoint",
    "StreamPair",
    "Token",
    "Traits",
    "Transport",
    "WriteStream",
    "traits_of",
    "until_finished",
]

DEFAULT_MAX_MESSAGE_SIZE = 4 * 1024 * 1024
"""Bytes of the largest message accepted unless `max_message_size` says otherwise (the SDK's bound for HTTP too)."""

DEFAULT_MAX_ANSWER_SIZE = 64 * 1024 * 1024
"""The same for whoever dials: the server was chosen by its user, and what it answers is wanted."""

Token: TypeAlias = str | Callable[[], Awaitable[str]]
"""A bearer token, or an async function that gives the one of now: what expires can then be renewed."""

T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True)
class URI:
    """An address, taken apart. `str()` of it hides what may be secret; `reveal()` does not."""

    scheme: str
    rest: str = field(repr=False)
    """Everything after `scheme:`, as it was written."""
    host: str = ""
    port: int | None = None
    path: str = ""
    query: str = field(default="", repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def reveal(self) -> str:
        """The whole address, secrets included: for dialling, never for a log."""
        return f"{self.scheme}:{self.rest}"

    @property
    def authority(self) -> str:
        """`host:port`, with an IPv6 host in brackets; without the port where none was given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def credentials(self) -> tuple[str, str] | None:
        """The user name and password of the address, decoded; None where it names no user."""
        if self.username is None:
            return None
        return unquote(self.username), unquote(self.password or "")

    def __str__(self) -> str:
        if not self.rest.startswith("//"):
            # A command line: its arguments may be secret.
            first, space, _ = self.rest.strip().partition(" ")
            if "@" in first or "?" in first:
                return f"{self.scheme}:…"  # an address whose slashes were forgotten, perhaps with a password
            return f"{self.scheme}:{first}{' …' if space else ''}"
        user = (
            "" if self.username is None else f"{self.username}@" if self.password is None else f"{self.username}:***@"
        )
        query = "?…" if self.query else ""
        return f"{self.scheme}://{user}{self.authority}{self.path}{query}"


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of a connection, as far as the transport knows."""

    principal: Hashable | None = None
    """Whom the transport authenticated; None where it does not."""
    address: str = ""
    access_token: "AccessToken | None" = field(default=None, repr=False)
    """What it authenticated with, as the server's `token_verifier` knows it; the SDK's."""
    headers: Mapping[str, str] | None = field(default=None, repr=False, compare=False)
    """The headers of the HTTP request that opened the connection, where one did."""


class ReadStream(Protocol[T_co]):
    """What the SDK reads from."""

    async def receive(self) -> T_co: ...
    async def aclose(self) -> None: ...
    def __aiter__(self) -> "ReadStream[T_co]": ...
    async def __anext__(self) -> T_co: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...


class WriteStream(Protocol[T_contra]):
    """What the SDK writes to."""

    async def send(self, item: T_contra, /) -> None: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...


StreamPair: TypeAlias = "tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]"
"""What the SDK calls a transport's streams: one to read from, one to write to."""


@runtime_checkable
class FrameChannel(Protocol):
    """A duplex sequence of frames. See the module's text for the contract."""

    async def send(self, *frames: bytes) -> None:
        """Send the frames, in order, in as few writes as the transport can.

        Returns when they are handed to the system, which is not when the peer has them.

        Raises:
            ChannelClosed: we closed the channel.
            ChannelBroken: the peer is gone, or an earlier send was torn.
        """
        ...

    async def receive(self) -> bytes:
        """The next frame.

        Raises:
            FrameError: one frame was bad; call again.
            ChannelEnded: the peer ended the channel; there are no more frames.
            ChannelClosed: we closed it.
            ChannelBroken: the connection was cut, or in the middle of a frame ended.
        """
        ...

    async def aclose(self) -> None:
        """Close both directions; wake whoever waits. Never raises."""
        ...


@runtime_checkable
class ImmediateChannel(FrameChannel, Protocol):
    """A frame channel that can also send and hand on without waiting."""

    tap: Callable[[bytes], bool] | None
    """Shown each frame as soon as it has come, if none waits ahead of it; one it takes (True) is not received.

    Called only while a `receive` waits, so that nothing comes faster than it is taken. Set by the core.
    """

    def send_nowait(self, *frames: bytes) -> bool:
        """Hand the frames to the system, in order, as far as it takes them now.

        Returns whether it took all. Where it did not, the channel keeps the rest, and the caller owes it a `send`,
        with or without further frames, before anything else; the rest goes first.

        Raises:
            ChannelClosed, ChannelBroken: see `send`.
        """
        ...


@runtime_checkable
class Listener(Protocol):
    """An address being served."""

    @property
    def uri(self) -> str:
        """An address that can be dialled: the real port, and a host that can be reached."""
        ...


@runtime_checkable
class EndingListener(Listener, Protocol):
    """A listener that may end by itself, as that of a process's own stdin does with the client."""

    finished: anyio.Event
    """Set when it has."""


async def until_finished(listener: Listener) -> None:
    """Wait until a listener ends by itself; for ever, where it does not."""
    if isinstance(listener, EndingListener):
        await listener.finished.wait()
    else:
        await anyio.sleep_forever()


class Endpoint(Protocol):
    """What a listener serves: the core's side of an accepted connection."""

    @property
    def server(self) -> "Server[Any]":
        """The MCP server, for transports that drive it themselves."""
        ...

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        """Serve one connection until it ends, and close it. Raises nothing that the peer caused."""
        ...

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        """The same over a duplex pair of the SDK's streams."""
        ...


@runtime_checkable
class RoutedEndpoint(Protocol):
    """An endpoint whose application has more to serve, to listeners that speak HTTP."""

    @property
    def routes(self) -> Sequence[Any]:
        """Further routes (Starlette's)."""
        ...


@dataclass(frozen=True)
class Traits:
    """What a transport says of itself to those who use any of them. Each default is the usual case."""

    redialled: bool = True
    """Dialling an address again reaches the server that was there before. False where each connection is a server of
    its own, as that of a process which is started for it: a client then does not reconnect by itself."""
    guarded: bool = False
    """The system decides who may connect, as the permissions of a file do: nobody needs a token."""
    spawns: bool = False
    """An address to dial is a command that is run; the scheme alone, listened at, is this process's own stdin and
    stdout, served once."""
    in_process: bool = False
    """Only this process reaches its listeners."""
    drives_server: bool = False
    """Its listener runs `Endpoint.server` itself, lifespan included (a stream transport)."""
    heartbeat: bool = False
    """Nothing tells when a peer stops answering, as WebSocket's pings do: a client asks after a while of silence."""
    superseded: bool = False
    """There is a newer scheme for the same purpose; this one is for peers that have no other."""
    listener_loops: frozenset[str] = frozenset(("asyncio", "trio"))
    """The event loops that its listeners run on; connections run on both."""
    example: str = "{scheme}://127.0.0.1:8765"
    """An address on this machine to dial, for help and completion; `{scheme}` stands for the scheme."""
    mounted_as: str = ""
    """The word for it in `mcpc.asgi_app(transports=…)`: it has `mount`, too (see `mcpc.mount`). Empty: it has not."""
    named: tuple[str, ...] = ()
    """The words for it in a configuration file (`type`, `transport`), where an address has another scheme or none."""
    place: str | None = None
    """An address to serve at that nobody else has, for tests and demonstrations; `{directory}` stands for a folder of
    the caller's. None where there is none without preparation (a certificate, say)."""


class Transport(Protocol):
    """One family of addresses: how to dial one, how to serve one. What is special about it says a `Declared` one."""

    def connect(
        self, uri: URI, /, *args: Any, **options: Any
    ) -> "AbstractAsyncContextManager[FrameChannel | StreamPair]":
        """Dial `uri`. Options are keyword-only parameters of the implementation.

        Raises:
            URIError: the address or an option cannot be used.
            ConnectFailed: nobody answered, or the peer refused us.
        """
        ...

    def listen(
        self, uri: URI, endpoint: Endpoint, /, *args: Any, **options: Any
    ) -> "AbstractAsyncContextManager[Listener]":
        """Serve `uri` until the context ends; connections end with it.

        Raises:
            URIError: the address or an option cannot be used.
            ListenFailed: the address is taken, or may not be served.
        """
        ...


@runtime_checkable
class Declared(Protocol):
    """A transport that says what is special about it."""

    @property
    def traits(self) -> Traits:
        """What it says."""
        ...


def traits_of(transport: object) -> Traits:
    """What a transport says of itself; where it says nothing, the usual."""
    return transport.traits if isinstance(transport, Declared) else Traits()
