"""One client's numbered log, who reads it, and the back-pressure between them.

On the wire it is the client's *channel*. Knows nothing of how its messages are
sent, nor of the tasks that they are about.
"""

import secrets
from collections.abc import Callable, Hashable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from mcpc.mailbox import Mailbox
from mcpc.server.limits import Limits
from mcpc.server.reader import Reader

__all__ = ["Journal"]

YIELD_EVERY = 512
"""Messages that a busy sender posts before the event loop gets a turn."""
MAX_SESSIONS = 10_000
"""Session labels remembered for a journal."""


class Journal:
    """A client's journal: what was sent on it, and to whom it goes."""

    def __init__(self, key: str, principal: Hashable | None, limits: Limits, clock: Callable[[], float]) -> None:
        self.key = key
        self.principal = principal
        self.epoch = secrets.token_hex(8)
        """Names this log: another epoch under the same key means that the log was lost."""
        self.mailbox = Mailbox(
            max_messages=limits.max_messages, max_bytes=limits.max_bytes, max_kept=limits.max_ended_tasks
        )
        self.reader: Reader | None = None
        self.sessions: dict[str, None] = {}
        self.sent = 0
        """The highest number that any listener was sent."""
        self.running = 0
        """Tasks of the journal that have not ended."""
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
        return self.reader is None and self.running == 0

    def listen(self, reader: Reader) -> None:
        """Let `reader` be the one listener; the one before it ends."""
        if self.reader is not None:
            self.reader.end()
        self.reader = reader
        self.give_turns(len(self._waiting))  # each looks anew whether it must wait for this one

    def leave(self, reader: Reader) -> None:
        """`reader` listens no more."""
        reader.end()
        if self.reader is reader:
            self.reader = None
            self.touched = self._clock()
            self.give_turns(len(self._waiting))

    def name_session(self, session_id: str) -> None:
        """Server events of this session go to this journal too."""
        if session_id not in self.sessions:
            if len(self.sessions) >= MAX_SESSIONS:
                del self.sessions[next(iter(self.sessions))]
            self.sessions[session_id] = None

    def post(self, data: bytes, *, expires_at: float | None = None) -> None:
        """Add a message to the log and tell the listener. Never waits; at the bound the oldest update makes room."""
        self.mailbox.append(data, self.sent, expires_at=expires_at)
        reader = self.reader
        if reader is not None and not reader.awake:
            reader.wake()

    def offer(self, data: bytes) -> bool:
        """Add a message if nobody has to wait for that; False where `post_with_pressure` is to be awaited."""
        self._posted += 1
        reader, mailbox = self.reader, self.mailbox
        if self._posted >= YIELD_EVERY or self._waiting:
            return False
        if (
            reader is not None
            # In the usual case one message makes room, and has been sent.
            and (reader.cursor < mailbox.oldest or mailbox.size + len(data) > mailbox.max_bytes)
            and self._must_wait(len(data))
        ):
            return False
        mailbox.append(data, self.sent)
        if reader is not None and not reader.awake:
            reader.wake()
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
        if not self._waiting and self.reader is not None:
            self.reader.progressed_at = anyio.current_time()
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            while not turn.is_set() and (reader := self.reader) is not None and not reader.stalled:
                patience = reader.progressed_at + self._stall_timeout - anyio.current_time()
                if patience <= 0:
                    reader.stalled = True  # until it reads again; a task never hangs on a client that went away
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
        if self._waiting and self.reader is not None:
            self.reader.progressed_at = anyio.current_time()
            mailbox = self.mailbox
            self.give_turns(mailbox.max_messages - len(mailbox) + self.reader.cursor - mailbox.oldest + 1)

    def _must_wait(self, size: int) -> bool:
        """Whether a message of `size` bytes would push out one that the listener is still to be sent."""
        reader = self.reader
        if reader is None or reader.stalled or reader.ended.is_set():
            return False
        return self.mailbox.pushes_out(size, reader.cursor)
