"""A message as it comes, in frames; of one that is too large only as much is kept as tells whose it was.

No I/O, and nothing of how frames are written.
"""

from typing import NamedTuple

from mcpc.errors import FrameTooLarge
from mcpc.wire.envelope import BEGINNING, END
from mcpc.wire.rpc import too_large

__all__ = ["MAX_SKIPPED", "Partial", "Remains"]

MAX_SKIPPED = 1 << 30
"""Bytes of the largest message over the limit that is skipped. One that is larger still ends the connection: who
sends it made no mistake of size."""


class Remains(NamedTuple):
    """What is kept of bytes that were too many."""

    beginning: bytes
    """The first ones, `BEGINNING` at the most."""
    end: bytes
    """The last ones, `END` at the most."""
    size: int
    """How many there were."""


class Partial:
    """One message, until it is whole.

    Args:
        limit: Bytes of the largest message accepted.
    """

    __slots__ = ("_data", "_end", "_limit", "size")

    def __init__(self, limit: int) -> None:
        self.size = 0
        """Bytes that have come."""
        self._limit = limit
        self._data = bytearray()
        """All of it; where it is too large, its beginning. One growing buffer: a list of the parts would let empty
        fragments fill the memory."""
        self._end: bytes | None = None
        """Its end, where it is too large."""

    def add(self, data: bytes | bytearray | memoryview | Remains) -> None:
        """The next part."""
        first, last, size = data if isinstance(data, Remains) else (data, data, len(data))
        self.size += size
        if self.size <= self._limit:
            self._data += first
            return
        if self._end is None:
            self._end = bytes(self._data[-END:])
            del self._data[BEGINNING:]
        self._data += first[: BEGINNING - len(self._data)]
        self._end = (self._end + bytes(last[-END:]))[-END:]

    def whole(self) -> bytes | FrameTooLarge:
        """The message, or what to raise in its place."""
        return bytes(self._data) if self._end is None else too_large(self._limit, self._data, self._end)
