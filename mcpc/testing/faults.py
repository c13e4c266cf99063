"""A transport that fails on purpose, in the same way for the same seed: for tests of whatever must survive that.

It wraps another frame transport and does its harm at the dialling end, frame by
frame. Listening is passed on, so a server under test runs over the real thing.
Each connection draws from a generator of its own, and so does each direction:
what one does changes nothing in another.
"""

import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, NoReturn

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from mcpc.errors import ChannelBroken, ChannelClosed, ConnectFailed, TransportError, URIError
from mcpc.transport import URI, Endpoint, FrameChannel, Listener, Traits, Transport, traits_of
from mcpc.uri import parse_uri, resolve

__all__ = ["FaultyTransport"]

Direction = Literal["receive", "send"]
CUT = "the connection was cut on purpose"


@dataclass(frozen=True)
class _Faults:
    """What happens to one direction of one connection."""

    delay: tuple[float, float] | None = None
    cut_after_frames: int | None = None
    cut_after_bytes: int | None = None
    stall_after_frames: int | None = None
    duplicate: float = 0.0


class FaultyTransport:
    """A frame transport whose connections fail by plan.

    `mcpc.register_transport("faulty", FaultyTransport("ws", seed=7, cuts=[10, None]))` makes `faulty://host/path`
    dial `ws://host/path`, cut the first connection after ten frames, and leave the later ones whole. A cut closes
    the inner channel; at this end both directions then raise `ChannelBroken`. How the other end sees it is the
    inner transport's affair.

    Args:
        inner: The scheme of the transport to wrap, or the transport itself, which then sees the address as it is.
        seed: The same seed brings the same faults, connection by connection.
        direction: Which frames are harmed, and counted: those received, those sent, or both, each on its own.
        delay: Hold each frame back for a time between these two, in seconds. Frames keep their order.
        cut_after_frames: Cut each connection when so many frames have passed.
        cut_after_bytes: Cut each connection when so many bytes have passed; the frame in which that happens is lost.
        cuts: The same as `cut_after_frames`, but connection by connection; None leaves one whole. Connections after
            the last entry follow `cut_after_frames`.
        stall_after_frames: Let nothing more pass after so many frames, and say nothing: as when a cable is pulled.
        duplicate: The probability, 0 to 1, that a frame passes twice.
        refusals: The attempts to connect, counted from 0, that fail with `ConnectFailed`.

    Raises:
        UnknownScheme: no transport serves `inner`.
        ValueError: a fault makes no sense.
    """

    connect: Callable[..., AbstractAsyncContextManager[FrameChannel]]
    """Dial the inner transport; takes its options."""
    listen: Callable[..., AbstractAsyncContextManager[Listener]]
    """Serve with the inner transport; takes its options."""

    def __init__(
        self,
        inner: str | Transport,
        *,
        seed: int = 0,
        direction: Direction | Literal["both"] = "receive",
        delay: tuple[float, float] | None = None,
        cut_after_frames: int | None = None,
        cut_after_bytes: int | None = None,
        cuts: Sequence[int | None] = (),
        stall_after_frames: int | None = None,
        duplicate: float = 0.0,
        refusals: Collection[int] = (),
    ) -> None:
        self._scheme = inner.lower() if isinstance(inner, str) else None
        self._inner: Any = resolve(inner) if isinstance(inner, str) else inner
        self._seed = seed
        self._directions: tuple[Direction, ...] = ("receive", "send") if direction == "both" else (direction,)
        self._faults = _Faults(delay, cut_after_frames, cut_after_bytes, stall_after_frames, duplicate)
        self._cuts = list(cuts)
        self._refusals = frozenset(refusals)
        _check(self._faults, self._cuts)
        self.attempts: int = 0
        """Dials, refused ones too."""
        self.connections: int = 0
        """Connections that were made."""
        self.cuts = 0
        """Connections that were cut."""
        self.stalls = 0
        """Directions of connections that were stalled."""
        self.duplicates = 0
        """Frames that passed twice."""
        # The options are those of the inner transport, and whoever looks at the signature must see them.
        self.traits: Traits = traits_of(self._inner)
        """Those of the inner transport."""
        self.connect = _signed_like(self._inner.connect, self._dial)
        self.listen = _signed_like(self._inner.listen, self._serve)

    def _rewrite(self, uri: URI) -> URI:
        return uri if self._scheme is None else replace(uri, scheme=self._scheme)

    @asynccontextmanager
    async def _dial(self, uri: URI, /, **options: Any) -> AsyncGenerator[FrameChannel]:
        attempt = self.attempts
        self.attempts += 1
        if attempt in self._refusals:
            raise ConnectFailed(f"attempt {attempt} to connect to {uri} was refused on purpose")
        async with self._inner.connect(self._rewrite(uri), **options) as channel:
            if isinstance(channel, tuple):
                raise URIError(f"{uri.scheme}: only transports of frames can be made faulty")
            yield self._spoil(channel)

    def _spoil(self, channel: FrameChannel) -> "_FaultyChannel":
        number = self.connections
        self.connections += 1
        faults = self._faults
        if number < len(self._cuts):
            faults = replace(faults, cut_after_frames=self._cuts[number])

        def line(direction: Direction) -> _Line:
            numbers = random.Random(f"{self._seed}/{number}/{direction}")
            return _Line(faults if direction in self._directions else _Faults(), numbers)

        return _FaultyChannel(self, channel, line("receive"), line("send"))

    @asynccontextmanager
    async def _serve(self, uri: URI, endpoint: Endpoint, /, **options: Any) -> AsyncGenerator[Listener]:
        async with self._inner.listen(self._rewrite(uri), endpoint, **options) as listener:
            yield _FaultyListener(replace(parse_uri(listener.uri), scheme=uri.scheme).reveal())


def _signed_like(inner: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def method(*arguments: Any, **options: Any) -> Any:
        return ours(*arguments, **options)

    return method


def _check(faults: _Faults, cuts: list[int | None]) -> None:
    counts = (faults.cut_after_frames, faults.cut_after_bytes, faults.stall_after_frames, *cuts)
    if any(count is not None and count < 0 for count in counts):
        raise ValueError("frames and bytes are counted from 0 up")
    if faults.delay is not None and not 0 <= faults.delay[0] <= faults.delay[1]:
        raise ValueError("delay must be two times in seconds, the shorter one first")
    if not 0 <= faults.duplicate <= 1:
        raise ValueError("duplicate must be a probability, 0 to 1")


@dataclass(frozen=True)
class _FaultyListener:
    uri: str


class _Cut(Exception):
    """The plan cuts the connection here."""


class _Line:
    """One direction's plan, and how far it has come. No I/O."""

    def __init__(self, faults: _Faults, numbers: random.Random) -> None:
        self._faults = faults
        self._numbers = numbers
        self._frames = 0
        self._bytes = 0

    def before(self) -> bool:
        """What stands before the next frame: whether the line is stalled.

        Raises:
            _Cut: the line is cut.
        """
        if _reached(self._frames, self._faults.cut_after_frames):
            raise _Cut
        return _reached(self._frames, self._faults.stall_after_frames)

    def take(self, frame: bytes) -> tuple[int, float]:
        """How often a frame passes, and how long it is held back, in seconds.

        Raises:
            _Cut: the line is cut in the middle of it.
        """
        self._bytes += len(frame)
        limit = self._faults.cut_after_bytes
        if limit is not None and self._bytes > limit:
            raise _Cut
        self._frames += 1
        times = 2 if self._numbers.random() < self._faults.duplicate else 1
        return times, self._numbers.uniform(*self._faults.delay) if self._faults.delay else 0.0


def _reached(count: int, bound: int | None) -> bool:
    return bound is not None and count >= bound


class _FaultyChannel:
    """A frame channel between us and the inner one."""

    def __init__(self, transport: FaultyTransport, inner: FrameChannel, receiving: _Line, sending: _Line) -> None:
        self._transport = transport
        self._inner = inner
        self._receiving = receiving
        self._sending = sending
        self._ready: deque[tuple[bytes, float]] = deque()
        """Frames that have been received and not handed out, and when each may be."""
        self._cut = False
        self._closed = False
        self._ended = anyio.Event()
        self._stalled: set[_Line] = set()

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. Frames go one by one, as the plan counts them."""
        await checkpoint_if_cancelled()
        self._check_open()
        for frame in frames:
            try:
                if self._sending.before():
                    await self._stall(self._sending)
                times, delay = self._sending.take(frame)
            except _Cut:
                await self._break()
            self._transport.duplicates += times - 1
            await self._wait_until(anyio.current_time() + delay)
            await self._through(self._inner.send, *(frame,) * times)

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`. A frame that is held back stays here if the call is cancelled."""
        await checkpoint_if_cancelled()
        self._check_open()
        if not self._ready:
            await self._fetch()
        frame, due = self._ready[0]
        await self._wait_until(due)
        self._ready.popleft()
        return frame

    async def _fetch(self) -> None:
        """Receive a frame from the inner channel, as often as the plan says."""
        try:
            if self._receiving.before():
                await self._stall(self._receiving)
            frame = await self._through(self._inner.receive)
            times, delay = self._receiving.take(frame)
        except _Cut:
            await self._break()
        self._transport.duplicates += times - 1
        self._ready.extend(((frame, anyio.current_time() + delay),) * times)

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`."""
        self._closed = True
        self._ended.set()
        await self._inner.aclose()

    def _failure(self) -> TransportError | None:
        if self._closed:
            return ChannelClosed("the channel is closed")
        return ChannelBroken(CUT) if self._cut else None

    def _check_open(self) -> None:
        failure = self._failure()
        if failure is not None:
            raise failure

    async def _through(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        """Call the inner channel. If we cut it meanwhile, that it is closed means that it is broken."""
        try:
            return await operation(*arguments)
        except TransportError:
            self._check_open()
            raise

    async def _break(self) -> NoReturn:
        self._cut = True
        self._transport.cuts += 1
        self._ended.set()
        await self._inner.aclose()
        raise self._failure() or ChannelBroken(CUT)

    async def _stall(self, line: _Line) -> None:
        """Wait for the end."""
        if line not in self._stalled:
            self._stalled.add(line)
            self._transport.stalls += 1
        await self._ended.wait()
        self._check_open()

    async def _wait_until(self, due: float) -> None:
        """Hold a frame back; the end of the connection interrupts that."""
        if due > anyio.current_time():
            with anyio.CancelScope(deadline=due):
                await self._ended.wait()
        self._check_open()
