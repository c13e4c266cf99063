"""Who reads a journal: how far they have come, and how whoever sends to them is woken.

Knows nothing of the journal, of what is read from it, or of where it is sent.
"""

from collections.abc import Callable

import anyio

__all__ = ["Reader"]


class Reader:
    """One listener's place in a journal.

    Args:
        cursor: The number of the last message that it has.
    """

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        """The number of the last message sent."""
        self.stalled = False
        """It has not read for too long: nobody waits for it, until it reads again."""
        self.ended: anyio.Event = anyio.Event()
        """Set when there will be no more: replaced, finished, or the connection closed."""
        self.progressed_at: float = anyio.current_time()
        """When it was last sent something while somebody waited for room, on the loop's clock."""
        self.awake: bool = True
        """Whether there may be something to take, as far as the taker knows: the announcement, at first."""
        self.finishing: bool = False
        """Whether it ends once everything has been sent."""
        self._wake: Callable[[], None] | None = None
        self._ready: anyio.Event | None = None

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
        """End once everything in the journal has been sent."""
        self.finishing = True
        self.awake = False
        self.wake()
