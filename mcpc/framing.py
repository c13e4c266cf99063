"""A frame channel <-> the SDK's (read, write) streams, with no task or queue for each message.

The SDK pulls from the read stream, and the read stream pulls from the channel:
a frame is decoded once, a callback leaves the SDK's path here and goes straight
to its sink, everything else goes on. What is sent first in a turn of the event
loop goes out at once, the rest together in the next: the SDK's messages first,
then what the attached sources have, so that an answer never waits behind
callbacks, many messages share one write, and an adapter's `send` is never called
twice at once.
"""

import contextvars
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, Protocol, Self

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, RequestId

from mcpc.detached import call_soon, callback_context, spawn_detached
from mcpc.errors import ChannelBroken, ChannelClosed, FrameError, FrameTooLarge, TransportError
from mcpc.frame_streams import FrameReader, FrameWriter
from mcpc.logs import logger_of
from mcpc.pending import PendingRequests
from mcpc.taps import CallbackTap
from mcpc.transport import FrameChannel, ImmediateChannel, Peer, StreamPair
from mcpc.wire.rpc import encode_error, failed_answer, rpc_message

__all__ = [
    "Connection",
    "Source",
    "current_connection",
]

logger: logging.Logger = logger_of(__name__)

HIGH_WATER = 256 * 1024
"""Bytes of the SDK's messages that wait for the writer before `send` waits."""

LEAVING = 2.0
"""Seconds that what runs for a peer has to end, once the peer has left."""

current_connection: contextvars.ContextVar["Connection | None"] = contextvars.ContextVar(
    "mcpc_connection", default=None
)
"""In a request handler: the connection that the request came over, where it is a framed one."""


class Source(Protocol):
    """Something that has frames of its own to send on a connection."""

    def take(self) -> list[bytes]:
        """The next frames, made now; none where there is nothing to send."""
        ...

    def connection_closed(self) -> None:
        """The connection is gone; nothing more will be taken."""
        ...


class Connection:
    """One frame channel with its reader, its writer and the sources attached to it.

    Args:
        channel: The channel; the connection closes it.
        side: `server` answers bad frames with a JSON-RPC error; `client` skips and counts them, as a stray line
            on a server's stdout is not worth a connection.
        peer: Who is at the other end.
        pending: Bounds the peer's requests, at the side of the server.
    """

    def __init__(
        self,
        channel: FrameChannel,
        *,
        side: Literal["client", "server"],
        peer: Peer | None = None,
        pending: PendingRequests | None = None,
    ) -> None:
        self.channel = channel
        self.side: Literal["client", "server"] = side
        self.peer: Peer = peer or Peer()
        self.tap: CallbackTap = CallbackTap()
        """Where callbacks leave."""
        self.pending: PendingRequests = PendingRequests() if pending is None else pending
        """The peer's requests that wait for their answers."""
        self.bad_frames: int = 0
        """Frames that were not sound MCP messages."""
        self.name: object = object()  # stands for it where something is counted, also when it is gone
        self.state: dict[str, Any] = {}
        """Room for what serves this connection."""
        self.closed: bool = False  # whether nothing more will be read
        self.reader: FrameReader = FrameReader(self, _handlers_context(self))
        self.writer: FrameWriter = FrameWriter(self)
        self._queue: list[bytes] = []
        self._queued = 0
        self._is_writing = False
        """Something was handed to the channel that it has not handed to the system yet."""
        self.is_idle: bool = False
        """Nothing is being sent, and nothing was in this turn: whoever has something may send it at once."""
        self._send_nowait: Callable[..., bool] | None = None
        if isinstance(channel, ImmediateChannel):
            self._send_nowait = channel.send_nowait
            channel.tap = self.tap
        self._sources: list[Source] = []
        self._turn = self._next_turn, callback_context()
        """Made once: it is scheduled after every write."""
        self._tasks: anyio.abc.TaskGroup | None = None
        self._progress: anyio.Event | None = None
        """Set when something was sent; made when somebody waits for that."""
        self._failure: TransportError | None = None
        self._writing: anyio.CancelScope | None = None
        self._left: anyio.Event | None = None  # set when the connection's owner has left it; made when the peer has

    @property
    def streams(self) -> StreamPair:
        """The SDK's side of the connection."""
        return self.reader, self.writer

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Self]:
        """Send for as long as the context lasts; then flush within a second and close the channel."""
        async with anyio.create_task_group() as self._tasks:
            self.is_idle = True
            self.wake()
            try:
                yield self
            finally:
                with anyio.move_on_after(1, shield=True):
                    await self.flush()
                if self._writing is not None:
                    self._writing.cancel()
                with anyio.CancelScope(shield=True):
                    await self.channel.aclose()
                self._lost(ChannelClosed("the connection is closed"))
                if self._left is not None:
                    self._left.set()

    # --- sending ---

    def attach(self, source: Source) -> None:
        """Let `source` send on this connection; it is asked at once."""
        if self._failure is not None:
            source.connection_closed()
            return
        self._sources.append(source)
        self.wake()

    def detach(self, source: Source) -> None:
        """Ask `source` no more."""
        if source in self._sources:
            self._sources.remove(source)

    def wake(self) -> None:
        """There is something to send. The first in a turn of the event loop is sent at once, what follows together."""
        if self.is_idle:
            self.is_idle = False
            if self._send_nowait is None:
                self._start_writing()
            else:
                self._write_at_once(self._send_nowait)

    def on_answer(self, request_id: RequestId, hook: Callable[[], None]) -> None:
        """Call `hook` once the answer to `request_id` is ahead of all that is sent later, or will never be sent."""
        hook() if self._failure is not None else self.pending.on_answer(request_id, hook)

    def push(self, frame: bytes) -> None:
        """Queue one frame, without waiting for room: for what is small and rare."""
        if self._failure is None:
            self._queue.append(frame)
            self._queued += len(frame)
            self.wake()

    async def send(self, frame: bytes) -> None:
        """Queue one frame; wait while too much waits already. A frame once queued is sent whole.

        Raises:
            TransportError: the connection is closed or broken.
        """
        if self._failure is not None:
            raise self._failure
        self.push(frame)
        while self._queued > HIGH_WATER and self._failure is None:
            await self._until_progress()
        if self._failure is not None:
            raise self._failure

    async def flush(self) -> None:
        """Wait until everything queued, and what is being written, is handed to the channel."""
        while (self._queued or self._is_writing) and self._failure is None:
            await self._until_progress()

    def _write_at_once(self, send: Callable[..., bool]) -> None:
        """Write what there is, without a task for as long as the channel takes all."""
        if self._failure is not None:
            return
        try:
            frames = self._collect()
            if not frames:
                self.is_idle = True
            elif send(*frames):
                self._sent()
                call_soon(*self._turn)
            else:
                self._is_writing = True
                self._start_writing()
        except (ChannelBroken, ChannelClosed) as exc:
            self._lost(exc)

    def _next_turn(self) -> None:
        """What has come since the last write goes out together."""
        assert self._send_nowait is not None
        self._write_at_once(self._send_nowait)

    def _start_writing(self) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(self._write)

    async def _write(self) -> None:
        """Write until there is nothing left, waiting for the channel."""
        # Shielded: what is queued when the connection's owner is cancelled is still to be sent (see `open`).
        with anyio.CancelScope(shield=True) as self._writing:
            try:
                frames = self._collect()
                while frames or self._is_writing:
                    self._is_writing = True
                    await self.channel.send(*frames)
                    self._is_writing = False
                    self._sent()
                    frames = self._collect()
                self.is_idle = True
            except (ChannelBroken, ChannelClosed) as exc:
                self._lost(exc)

    def _collect(self) -> list[bytes]:
        """What to write next: all that the SDK has queued, then what each source has for now."""
        frames = self._queue
        self._queue = []
        for source in tuple(self._sources):
            frames.extend(source.take())
        return frames

    def _sent(self) -> None:
        self._queued = sum(map(len, self._queue)) if self._queue else 0
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def _until_progress(self) -> None:
        """Wait until something was sent, or the connection is lost."""
        if self._progress is None:
            self._progress = anyio.Event()
        await self._progress.wait()

    def _lost(self, failure: TransportError) -> None:
        """Nothing more can be sent: wake whoever waits."""
        if self._failure is not None:
            return
        self._failure = failure
        self.closed = True
        self._queue.clear()
        self._sent()
        self.pending.give_up()
        sources, self._sources = self._sources, []
        for source in sources:
            source.connection_closed()

    # --- receiving ---

    async def next_message(self) -> SessionMessage:
        """The next message for the SDK; callbacks that come before it go to the sink.

        Raises:
            TransportError: the channel has ended.
        """
        while True:
            try:
                frame = await self.channel.receive()
                message = self.tap.read(frame)
                if self.side == "server" and message is not None:
                    self.pending.see(message, frame)
            except FrameError as exc:
                if (answer := await self._refuse(exc)) is not None:
                    return SessionMessage(answer)
                continue
            except TransportError:
                if not self.closed and self.side == "server":
                    self._left = _close_soon(self.channel)
                self.closed = True
                raise
            if message is not None:
                return SessionMessage(rpc_message(message))

    async def _refuse(self, error: FrameError) -> JSONRPCError | None:
        """A bad frame: whoever sent it is told, or whoever waits for it, with the answer that is returned."""
        self.bad_frames += 1
        if error.request_id is not None and error.kind == "answer":
            return failed_answer(error)
        if self.side == "server" or (error.request_id is not None and error.kind == "request"):
            logger.debug("refused a frame: %s", error)
            await self.send(encode_error(error))
        elif isinstance(error, FrameTooLarge) and error.kind is None:
            # It may have been what somebody waits for, so the connection cannot be trusted any more.
            self.closed = True
            await self.channel.aclose()
            raise ChannelBroken(f"the server sent a message over the limit: {error}") from error
        elif self.bad_frames == 1:
            logger.warning("skipped something from the server that is not an MCP message: %s (said once)", error)
        await checkpoint()
        return None


def _handlers_context(connection: Connection) -> contextvars.Context:
    """What the SDK runs the handlers of a connection's messages in."""
    context = contextvars.copy_context()
    context.run(current_connection.set, connection)
    return context


def _close_soon(channel: FrameChannel) -> anyio.Event:
    """Close a channel whose peer has left, also if a handler that cannot be cancelled keeps the connection's owner.

    Returns what the owner sets when it has left.
    """
    left = anyio.Event()
    spawn_detached(partial(_close_without, channel, left))
    return left


async def _close_without(channel: FrameChannel, left: anyio.Event) -> None:
    with anyio.move_on_after(LEAVING):
        await left.wait()
        return
    logger.debug("a handler that cannot be cancelled has outlived its connection")
    await channel.aclose()
