"""`Flow`: the one place that knows whether there is room for what comes.

Messages go to several places: listeners' queues, handles, calls that wait for
their answer. While one of them is full, nothing more is taken. Knows neither
messages nor what it means to take none: who does is told.
"""

import weakref
from collections.abc import Callable, Sized

import anyio

from mcpc.detached import soon_from_anywhere

__all__ = ["Flow"]


class Flow:
    """Stopped while at least one place is full."""

    def __init__(self) -> None:
        self.on_stop: Callable[[], None] | None = None
        """Called when the first place is full."""
        self.on_room: Callable[[], None] | None = None
        """Called when the last full place has room again, before those who `wait`; it may find one full again."""
        self.stopped: bool = False
        """Whether a place is full."""
        self._full: dict[weakref.ref[Sized], None] = {}
        self._room = anyio.Event()
        self._later: Callable[[Callable[[], None]], object] | None = None

    @property
    def level(self) -> int:
        """How many messages wait in the places that are full. It changes while their readers are at work."""
        places = [place() for place in self._full]
        return sum(len(place) for place in places if place is not None)

    def full(self, place: Sized) -> None:
        """`place` had no room for a message. It is full until `drained`, or until nobody holds it any more."""
        if not self._full:
            self._stop()
        self._full.setdefault(weakref.ref(place, self._gone))
        self.stopped = True

    def drained(self, place: Sized) -> None:
        """`place` has room again. Does nothing where it was not full."""
        if self._full:
            self._forget(weakref.ref(place))

    async def wait(self) -> None:
        """Wait until no place is full."""
        while self._full:
            await self._room.wait()

    def _stop(self) -> None:
        self._later = soon_from_anywhere()
        if self._room.is_set():
            self._room = anyio.Event()
        if self.on_stop is not None:
            self.on_stop()

    def _gone(self, place: weakref.ref[Sized]) -> None:
        """A place was dropped, perhaps by the garbage collector, in the middle of anything: so nothing is done yet."""
        if self._later is not None:
            self._later(lambda: self._forget(place))

    def _forget(self, place: weakref.ref[Sized]) -> None:
        if place not in self._full:
            return
        del self._full[place]
        if self._full:
            return
        self.stopped = False
        if self.on_room is not None:
            self.on_room()
        if not self._full:
            self._room.set()
