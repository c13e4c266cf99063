"""Work that swallows its cancellation: noticed, told of once, and left alone.

anyio cancels again in each turn of asyncio's loop, until the work has ended. Work that never ends for it keeps the loop
turning, at the cost of a whole processor. (trio cancels only who waits anew.) Knows nothing of tasks and requests.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from mcpc.ending import left_behind

__all__ = ["left_alone_if_stubborn"]

INTERVAL = 1.0
"""Seconds between two looks at what runs, while anything does."""

MANY = 20
"""Cancellations between two looks that are more than good work ever sees: it is cancelled once, or a few times."""


def left_alone_if_stubborn(what: str) -> AbstractContextManager[None]:
    """Run work that may be cancelled from outside; one that swallows every cancellation is not cancelled further.

    Args:
        what: Says in the log whose work it was.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        return nullcontext()
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = _Watch(loop)
    return _Work(what, watch)


class _Work:
    """What one task does at the moment. No generator: each running task has one, and its frame takes half a KiB."""

    __slots__ = ("_cancelled", "_task", "_watch", "scope", "what")

    def __init__(self, what: str, watch: "_Watch") -> None:
        self.what = what
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self._watch = watch
        self._task = asyncio.current_task()
        self._cancelled = 0

    def __enter__(self) -> None:
        self.scope.__enter__()
        self._watch.add(self)

    def __exit__(self, *raised: Any) -> None:
        self._watch.work.discard(self)
        self.scope.__exit__(*raised)  # it swallows nothing, as nobody cancels it

    def is_stubborn(self) -> bool:
        """Whether it has been cancelled over and over since the last look."""
        assert self._task is not None
        before, self._cancelled = self._cancelled, self._task.cancelling()
        return self._cancelled - before > MANY


class _Watch:
    """Looks after the work of one event loop, and only while there is any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.work: set[_Work] = set()
        self._later = loop.call_later  # the loop itself would be kept alive by its own entry
        self._looks = False

    def add(self, work: _Work) -> None:
        """Look after `work` too."""
        self.work.add(work)
        if not self._looks:
            self._looks = True
            self._later(INTERVAL, self._look)

    def _look(self) -> None:
        for work in tuple(self.work):
            if work.is_stubborn():
                work.scope.shield = True
                self.work.discard(work)
                left_behind(f"{work.what} swallows its cancellation; it is left alone")
        self._looks = bool(self.work)
        if self._looks:
            self._later(INTERVAL, self._look)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()
