"""The garbage collector, paused for a moment in which much is made and little is garbage.

A batch of messages is hundreds or thousands of objects. While they are made the collector looks through them again and
again, and finds nothing: what was handed on and dropped is freed without it. Knows nothing of messages.
"""

import gc
import os
import threading

__all__ = ["collection_paused"]


class _Pause:
    """Pauses that may nest and overlap, in all threads: the collector is one for the whole process."""

    def __init__(self) -> None:
        # Reentrant: a finalizer or a signal handler may come in between.
        self._lock = threading.RLock()
        self._open = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if self._open == 0:
                self._was_on = gc.isenabled()
            self._open += 1
            gc.disable()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open = max(0, self._open - 1)
            if self._open == 0 and self._was_on:
                gc.enable()

    def forget(self) -> None:
        """A new process has begun, with none of the threads that were in a pause."""
        self._lock = threading.RLock()
        self._open = 0
        if self._was_on:
            gc.enable()


collection_paused: _Pause = _Pause()
"""In a `with`: the garbage collector rests, if it was on, and goes on when the last such block has ended."""

if hasattr(os, "register_at_fork"):  # not on Windows, where no process is a copy of another
    os.register_at_fork(after_in_child=collection_paused.forget)
