"""What holds back the senders of a journal: they wait while its reader is a whole log behind, each in turn.

Bounded: a reader that takes nothing for `stall_timeout` counts as gone, and nobody waits for it until it reads again.
Knows nothing of what is sent.
"""

from collections import OrderedDict
from typing import Protocol

import anyio

from mcpc.mailbox import Mailbox
from mcpc.server.reader import Reader

__all__ = ["Backlog", "Pressure"]


class Backlog(Protocol):
    """A log and who reads it."""

    @property
    def mailbox(self) -> Mailbox:
        """What was sent."""
        ...

    @property
    def reader(self) -> Reader | None:
        """Who reads it now."""
        ...


class Pressure:
    """Who waits for room in a journal, and until when.

    Args:
        backlog: The journal.
        stall_timeout: Seconds for which a reader may take nothing.
    """

    def __init__(self, backlog: Backlog, stall_timeout: float) -> None:
        self.waiting: OrderedDict[anyio.Event, None] = OrderedDict()
        """Who waits for room, first come first served. Thousands may, and each leaves without a look at the others."""
        self._backlog = backlog
        self._stall_timeout = stall_timeout

    def must_wait(self, size: int) -> bool:
        """Whether a message of `size` bytes would push out one that the reader is still to be sent."""
        reader = self._backlog.reader
        if reader is None or reader.stalled or reader.ended.is_set():
            return False
        return self._backlog.mailbox.pushes_out(size, reader.cursor)

    async def room_for(self, size: int) -> None:
        """Wait until a message of `size` bytes pushes out none that the reader has not been sent, or it stalls."""
        if self.waiting or self.must_wait(size):
            await self._queue_up()
            while self.must_wait(size):
                await self._queue_up()

    async def _queue_up(self) -> None:
        """Wait for a turn: as many get one as there is room for, in the order in which they came."""
        if not self.waiting and (reader := self._backlog.reader) is not None:
            reader.progressed_at = anyio.current_time()
        turn = anyio.Event()
        self.waiting[turn] = None
        try:
            while not turn.is_set() and (reader := self._backlog.reader) is not None and not reader.stalled:
                patience = reader.progressed_at + self._stall_timeout - anyio.current_time()
                if patience <= 0:
                    reader.stall()  # until it reads again; a task never hangs on a client that went away
                    self.give_all()
                    return
                with anyio.move_on_after(patience):
                    await turn.wait()
        except anyio.get_cancelled_exc_class():
            if turn.is_set():
                self._give(1)  # the turn is not used
            raise
        finally:
            self.waiting.pop(turn, None)

    def give_all(self) -> None:
        """Let everybody who waits look anew whether they must."""
        self._give(len(self.waiting))

    def _give(self, count: int) -> None:
        """Let `count` of those who wait for room go on."""
        for _ in range(min(count, len(self.waiting))):
            self.waiting.popitem(last=False)[0].set()

    def made_room(self) -> None:
        """The reader was sent something: as many who wait may post as there are messages that can go."""
        reader = self._backlog.reader
        if self.waiting and reader is not None:
            reader.progressed_at = anyio.current_time()
            mailbox = self._backlog.mailbox
            self._give(mailbox.max_messages - len(mailbox) + reader.cursor - mailbox.oldest + 1)
