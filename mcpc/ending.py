"""The end of a process that serves: it comes, whatever hangs.

An event loop waits for tasks that swallow their cancellation, an interpreter for threads that block. Both are given
a moment; then the process is ended from outside of them, once what it has to say is written.
"""

import logging
import os
import sys
import threading

from mcpc.logs import logger_of

__all__ = ["ProcessEnd", "left_behind"]

logger: logging.Logger = logger_of(__name__)

PATIENCE = 1.0
"""Seconds that the event loop has to end once the serving has, and the interpreter once the program is over."""


_told: set[str] = set()


def left_behind(what: str, *, anything: bool = False) -> None:
    """Log that something would not end and was left behind, once.

    Args:
        what: The sentence.
        anything: Whether it only says that something was: nothing new, where anything was told of before.
    """
    if not (what in _told or (anything and _told)):
        _told.add(what)
        logger.warning(what)


class ProcessEnd:
    """Ends the process if it does not end by itself, once its work is over: `mcpc.run` does it for its own.

    For programs that serve in an event loop of their own: call `begin` as the last thing inside the loop, after the
    server has been left, and `over` once the loop has ended.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._begun = False
        self._status = 0

    def begin(self, status: int = 0) -> None:
        """The event loop shall end from now on. Done once; a further call does nothing.

        Args:
            status: What the process exits with, if it has to be ended.
        """
        if not self._begun:
            self._begun = True
            self._status = status
            threading.Thread(target=self._watch, name="mcpc end", daemon=True).start()

    def over(self) -> None:
        """The event loop is over: what the program does next may take its time."""
        self._over.set()

    def _watch(self) -> None:
        if not self._over.wait(PATIENCE):
            left_behind("some work would not end although it was cancelled; the process ends without it", anything=True)
            _exit(self._status)
        threading.main_thread().join()
        while threads := _threads_at_exit():
            if all(thread.name == ANYIO_THREAD for thread in threads):
                threads[0].join(PATIENCE)
                if threads[0].is_alive():
                    what = "the threads of some functions would not end; the process ends without them"
                    left_behind(what, anything=True)
                    _exit(1 if getattr(sys, "last_value", None) is not None else self._status)
            else:
                threads[0].join(PATIENCE)


ANYIO_THREAD = "AnyIO worker thread"
"""The name of a thread of anyio's, in which the SDK calls plain functions. Others are the program's own affair."""


def _threads_at_exit() -> list[threading.Thread]:
    """What the interpreter waits for before it exits."""
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if thread is not main and not thread.daemon]


def _exit(status: int) -> None:
    """End the process; what was printed is written first."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
    os._exit(status)
