"""An event that costs nothing until somebody waits for it.

A task has half a dozen of them, and mostly nobody waits: anyio's own takes 0.9 KiB each on asyncio from the start.
"""

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["Latch"]


class Latch:
    """Set once, and for ever; as `anyio.Event` to those who wait for it."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: anyio.Event | None = None

    def is_set(self) -> bool:
        """Whether it is set; from any thread."""
        return self._is_set

    def set(self) -> None:
        """Set it: whoever waits goes on."""
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait until it is set. Lets the event loop have a turn where it is."""
        if self._is_set:
            await checkpoint()
            return
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
