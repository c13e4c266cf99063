"""Code that is not ours: whatever leaves it is an outcome to be told of, and ends nobody but itself.

A listener may raise what it likes: `SystemExit`, a `CancelledError` of its own
making, a group of both. Only what is meant for us goes on: our own cancellation,
and Ctrl-C in the main thread.
"""

import asyncio
import threading

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

__all__ = ["hold_back", "hold_back_sync", "is_closed", "text_of"]


def is_closed() -> bool:
    """Whether this coroutine runs in no event loop any more: it is being closed, and must not wait for anything."""
    try:
        anyio.get_current_task()
    except Exception:
        return True
    return False


def hold_back_sync(exc: BaseException) -> None:
    """Hold back what plain code raised.

    Raises:
        KeyboardInterrupt: it was Ctrl-C, which only the main thread sees.
    """
    if isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise exc


async def hold_back(exc: BaseException) -> None:
    """Hold back what awaited code raised.

    Raises:
        BaseException: it was our own end: we are cancelled, or closed, or it was Ctrl-C.
    """
    if isinstance(exc, Exception):
        return
    if is_closed():
        raise exc
    await checkpoint_if_cancelled()
    if _is_cancelled_by_the_loop():
        raise exc
    hold_back_sync(exc)


def _is_cancelled_by_the_loop() -> bool:
    """Whether asyncio itself has cancelled this task, as it does with what is left when it ends."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def text_of(exc: BaseException) -> str:
    """What an exception says, also where it cannot say it."""
    try:
        return str(exc)
    except Exception:
        return f"{type(exc).__name__} without a text"
