"""`Changes`: one task of a channel waits for what another one does. Knows nothing of what changes."""

import anyio

__all__ = ["Changes"]


class Changes:
    """Wakes whoever waits, whenever something is other than before."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed: anyio.Event | None = None

    async def wait(self) -> None:
        """Wait for the next change."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def tell(self) -> None:
        """Something has changed."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
