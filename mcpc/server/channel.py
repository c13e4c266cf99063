"""One client's channel on the server: its log, who listens to it, and the back-pressure between them."""

import secrets
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp_types import RequestId

from mcpc.errors import MCPCError
from mcpc.mailbox import Batch, Mailbox
from mcpc.server.limits import Limits
from mcpc.wire.callbacks import encode_batch, encode_listening
from mcpc.wire.originals import encode_direct

__all__ = ["Channel", "ChannelTable", "DirectStream", "ListenStream"]

BATCH_MESSAGES = 512
"""Messages of one notification at the most."""
BATCH_BYTES = 128 * 1024
"""Bytes of messages of one notification at the most, unless the first message alone is larger."""
YIELD_EVERY = 512
"""Messages that a busy sender posts before the event loop gets a turn."""
MAX_SESSIONS = 10_000
"""Session labels remembered for a channel."""


class ListenStream:
    """One listener's place in a channel's log: what it is sent next.

    On a framed connection it is a source that the connection's writer takes from; elsewhere the
    request's handler takes from it.
    """

    def __init__(self, channel: "Channel", listen_id: RequestId, after: int, epoch: str | None) -> None:
        self.channel = channel
        self.listen_id = listen_id
        fresh = (epoch is not None and epoch != channel.epoch) or after > channel.mailbox.head
        if not fresh:
            channel.mailbox.acknowledge(after)  # who listens after a number has had what came before it
        self.cursor = 0 if fresh else after
        """The number of the last message sent."""
        self.stalled = False
        self.ended = anyio.Event()
        """Set when there will be no more: replaced, finished, or the connection closed."""
        self._fresh = fresh
        self._announced: int | None = None
        """The `oldest` that the listener was told; None before it was told anything."""
        self._finishing = False
        self.progressed_at = anyio.current_time()
        """When it was last sent something while somebody waited for room, on the loop's clock."""
        self._wake: Callable[[], None] | None = None
        self._ready: anyio.Event | None = None
        self.awake = True
        """Whether there may be something to take, as far as the taker knows: the announcement, at first."""

    def bind(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there is something to take."""
        self._wake = wake

    def wake(self) -> None:
        """There is something to take. Told once: until all is taken, the taker asks again by itself."""
        if self.awake:
            return
        self.awake = True
        if self._wake is not None:
            self._wake()
        elif self._ready is not None:
            self._ready.set()

    async def ready(self) -> None:
        """Wait until there may be something to take."""
        if not self.awake:
            self._ready = anyio.Event()
            await self._ready.wait()
            self._ready = None

    def end(self) -> None:
        """No more is sent."""
        self.ended.set()
        if self._ready is not None:
            self._ready.set()

    def finish(self) -> None:
        """End once everything in the log has been sent."""
        self._finishing = True
        self.awake = False
        self.wake()

    def connection_closed(self) -> None:
        """See `Source.connection_closed`."""
        self.channel.leave(self)

    def next(self) -> dict[str, Any] | Batch | None:
        """What to send next: an announcement (its params), a batch, or nothing for now."""
        if self.ended.is_set():
            return None
        channel = self.channel
        mailbox = channel.mailbox
        if self._announced is None:
            return self._announce(gap=self._fresh or self.cursor < mailbox.oldest - 1)
        batch = mailbox.read(self.cursor, max_messages=BATCH_MESSAGES, max_bytes=BATCH_BYTES)
        if batch is None:
            self.awake = False
            if self._finishing:
                self.end()
            return None
        if batch.first > self.cursor + 1 and batch.first > self._announced:
            return self._announce(gap=True)
        self.cursor = last = batch.last
        channel.sent = max(channel.sent, last)
        self.stalled = False
        self.awake = last < mailbox.head or self._finishing
        channel.made_room()
        return batch

    def _announce(self, *, gap: bool) -> dict[str, Any]:
        mailbox = self.channel.mailbox
        self._announced = mailbox.oldest
        params: dict[str, Any] = {"epoch": self.channel.epoch, "oldest": mailbox.oldest, "head": mailbox.head}
        if gap:
            params["tasks"] = self.channel.describe_tasks()
        return params

    def take(self) -> list[bytes]:
        """The next frame, for a connection's writer."""
        item = self.next() if self.awake else None
        if item is None:
            return []
        if isinstance(item, Batch):
            return [encode_batch(self.listen_id, item.first, item.messages)]
        return [encode_listening(self.listen_id, item)]


class DirectStream(ListenStream):
    """A listener that speaks the original's form: each message an unsolicited response, no numbers, no replay."""

    def __init__(self, channel: "Channel") -> None:
        super().__init__(channel, "", channel.mailbox.head, None)
        self._announced = 0

    def take(self) -> list[bytes]:
        """The next frames, one a message."""
        item = self.next()
        if isinstance(item, dict):  # a gap: this form has no way to say so
            item = self.next()
        return [encode_direct(message) for message in item.messages] if isinstance(item, Batch) else []


class Channel:
    """A client's channel: what was sent on it, and to whom it goes."""

    def __init__(self, key: str, principal: Hashable | None, limits: Limits, clock: Callable[[], float]) -> None:
        self.key = key
        self.principal = principal
        self.epoch = secrets.token_hex(8)
        """Names this log: another epoch under the same key means that the log was lost."""
        self.mailbox = Mailbox(
            max_messages=limits.max_messages, max_bytes=limits.max_bytes, max_kept=limits.max_ended_tasks
        )
        self.stream: ListenStream | None = None
        self.sessions: dict[str, None] = {}
        self.sent = 0
        """The highest number that any listener was sent."""
        self.running = 0
        """Tasks of the channel that have not ended."""
        self.touched = 0.0
        """When it was last used, in seconds."""
        self.describe_tasks: Callable[[], list[dict[str, Any]]] = list
        self._stall_timeout = limits.stall_timeout
        self._clock = clock
        self._posted = 0
        """Updates since a sender last let the event loop have a turn."""
        self._waiting: list[anyio.Event] = []
        """Who waits for room, first come first served."""

    @property
    def idle(self) -> bool:
        """Whether nobody listens and no task runs."""
        return self.stream is None and self.running == 0

    def listen(self, stream: ListenStream) -> None:
        """Let `stream` be the one listener; the one before it ends."""
        if self.stream is not None:
            self.stream.end()
        self.stream = stream
        self.give_turns(len(self._waiting))  # each looks anew whether it must wait for this one

    def leave(self, stream: ListenStream) -> None:
        """`stream` listens no more."""
        stream.end()
        if self.stream is stream:
            self.stream = None
            self.touched = self._clock()
            self.give_turns(len(self._waiting))

    def name_session(self, session_id: str) -> None:
        """Server events of this session go to this channel too."""
        if session_id not in self.sessions:
            if len(self.sessions) >= MAX_SESSIONS:
                del self.sessions[next(iter(self.sessions))]
            self.sessions[session_id] = None

    def post(self, data: bytes, *, expires_at: float | None = None) -> None:
        """Add a message to the log and tell the listener. Never waits; at the bound the oldest update makes room."""
        self.mailbox.append(data, self.sent, expires_at=expires_at)
        stream = self.stream
        if stream is not None and not stream.awake:
            stream.wake()

    def offer(self, data: bytes) -> bool:
        """Add a message if nobody has to wait for that; False where `post_with_pressure` is to be awaited."""
        self._posted += 1
        stream, mailbox = self.stream, self.mailbox
        if self._posted >= YIELD_EVERY or self._waiting:
            return False
        if (
            stream is not None
            # In the usual case one message makes room, and has been sent.
            and (stream.cursor < mailbox.oldest or mailbox.size + len(data) > mailbox.max_bytes)
            and self._must_wait(len(data))
        ):
            return False
        mailbox.append(data, self.sent)
        if stream is not None and not stream.awake:
            stream.wake()
        return True

    async def post_with_pressure(self, data: bytes) -> None:
        """Add a message; while a connected listener is a whole log behind, wait for it, at most `stall_timeout`.

        A busy sender lets the event loop have a turn here, once in `YIELD_EVERY` messages.
        """
        await self.room_for(len(data))
        self.post(data)
        if self._posted >= YIELD_EVERY:
            self._posted = 0
            await checkpoint()

    async def room_for(self, size: int) -> None:
        """Wait until a message of `size` bytes pushes out none that the listener has not been sent, or it stalls."""
        if self._waiting or self._must_wait(size):
            await self._queue_up()
            while self._must_wait(size):
                await self._queue_up()

    async def _queue_up(self) -> None:
        """Wait for a turn: as many get one as there is room for, in the order in which they came."""
        if not self._waiting and self.stream is not None:
            self.stream.progressed_at = anyio.current_time()
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            while not turn.is_set() and (stream := self.stream) is not None and not stream.stalled:
                patience = stream.progressed_at + self._stall_timeout - anyio.current_time()
                if patience <= 0:
                    stream.stalled = True  # until it reads again; a task never hangs on a client that went away
                    self.give_turns(len(self._waiting))
                    return
                with anyio.move_on_after(patience):
                    await turn.wait()
        except anyio.get_cancelled_exc_class():
            if turn.is_set():
                self.give_turns(1)  # the turn is not used
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def give_turns(self, count: int) -> None:
        """Let `count` of those who wait for room go on."""
        for _ in range(min(count, len(self._waiting))):
            self._waiting.pop(0).set()

    def made_room(self) -> None:
        """The listener was sent something: as many who wait may post as there are messages that can go."""
        if self._waiting and self.stream is not None:
            self.stream.progressed_at = anyio.current_time()
            mailbox = self.mailbox
            self.give_turns(mailbox.max_messages - len(mailbox) + self.stream.cursor - mailbox.oldest + 1)

    def _must_wait(self, size: int) -> bool:
        """Whether a message of `size` bytes would push out one that the listener is still to be sent."""
        stream = self.stream
        if stream is None or stream.stalled or stream.ended.is_set():
            return False
        return self.mailbox.pushes_out(size, stream.cursor)


class ChannelTable:
    """The channels of a server, by their secret keys.

    Args:
        limits: `max_channels` and `channel_ttl` count here.
        clock: Gives the time, in seconds.
        describe: Describes the tasks of a channel, for a listener that has missed some messages.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float], describe: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._describe = describe
        self._channels: dict[str, Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._channels.values()))

    def __len__(self) -> int:
        return len(self._channels)

    def find(self, key: str, principal: Hashable | None) -> Channel | None:
        """The channel of that key, if it is this principal's."""
        channel = self._channels.get(key)
        return channel if channel is not None and channel.principal == principal else None

    def open(self, key: str, principal: Hashable | None) -> Channel | None:
        """The channel of that key, made where there is none; None where it is another principal's.

        Raises:
            MCPCError: there are as many as may be, and none is idle.
        """
        channel = self._channels.get(key)
        if channel is None:
            self._make_room()
            channel = Channel(key, principal, self._limits, self._clock)
            channel.describe_tasks = lambda: self._describe(key)
            self._channels[key] = channel
        elif channel.principal != principal:
            return None
        channel.touched = self._clock()
        return channel

    def drop(self, channel: Channel) -> None:
        """Forget a channel."""
        self._channels.pop(channel.key, None)

    def _make_room(self) -> None:
        if len(self._channels) % 64 == 0 or len(self._channels) >= self._limits.max_channels:
            self.expire()
        if len(self._channels) < self._limits.max_channels:
            return
        idle = [channel for channel in self._channels.values() if channel.idle]
        if not idle:
            raise MCPCError(f"{self._limits.max_channels} channels are open, which is the limit")
        self.drop(min(idle, key=lambda channel: channel.touched))

    def expire(self) -> None:
        """Forget the channels that were idle for too long, and last messages whose time is over."""
        now = self._clock()
        for channel in list(self._channels.values()):
            channel.mailbox.expire(now)
            if channel.idle and channel.touched + self._limits.channel_ttl <= now:
                self.drop(channel)
