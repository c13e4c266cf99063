"""One client's numbered log, and who reads it.

On the wire it is the client's *channel*. Knows nothing of how its messages are
sent, of the tasks that they are about, nor of who waits for room (`pressure`).
"""

import secrets
from collections.abc import Callable, Hashable
from typing import Any

from anyio.lowlevel import checkpoint

from mcpc.mailbox import Mailbox
from mcpc.server.limits import Limits
from mcpc.server.pressure import Pressure
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
        self.epoch: str = secrets.token_hex(8)
        """Names this log: another epoch under the same key means that the log was lost."""
        self.mailbox: Mailbox = Mailbox(
            max_messages=limits.max_messages,
            max_bytes=limits.max_bytes,
            max_kept=limits.max_ended_tasks,
            max_kept_bytes=limits.max_ended_bytes,
        )
        self.reader: Reader | None = None
        self.sessions: dict[str, str] = {}
        self.gaps = 0
        """Times that a listener was told that it has missed messages."""
        self.sent = 0
        """The highest number that any listener was sent."""
        self.is_here_only = True
        """Whether no other process serves it, so that who does not listen here listens nowhere."""
        self.running = 0
        """Tasks of the journal that have not ended."""
        self.touched: float = 0.0
        """When it was last used, in seconds."""
        self.describe_tasks: Callable[[], list[dict[str, Any]]] = list
        self.pressure: Pressure = Pressure(self, limits.stall_timeout)
        self._waiting = self.pressure.waiting
        """Who waits for room; looked at for every message."""
        self._clock = clock
        self._posted = 0
        """Updates since a sender last let the event loop have a turn."""

    @property
    def idle(self) -> bool:
        """Whether nobody listens and no task runs."""
        return self.reader is None and self.running == 0

    def listen(self, reader: Reader) -> None:
        """Let `reader` be the one listener; the one before it ends."""
        if self.reader is not None:
            self.reader.end()
        self.reader = reader
        self.pressure.give_all()  # each looks anew whether it must wait for this one

    def leave(self, reader: Reader) -> None:
        """`reader` listens no more."""
        reader.end()
        if self.reader is reader:
            self.reader = None
            self.touched = self._clock()
            self.pressure.give_all()

    def name_session(self, session_id: str) -> str:
        """Server events of this session go to this journal too. The same text, one for all who keep it."""
        if session_id not in self.sessions and len(self.sessions) >= MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        return self.sessions.setdefault(session_id, session_id)

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
            and self.pressure.must_wait(len(data))
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
        await self.pressure.room_for(len(data))
        self.post(data)
        if self._posted >= YIELD_EVERY:
            self._posted = 0
            await checkpoint()
