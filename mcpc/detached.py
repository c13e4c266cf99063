"""Work that belongs to the event loop itself: tasks that outlive whoever began them, and calls in its next turn."""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio

sniffio: Any
try:
    import sniffio
except ImportError:  # anyio then asks asyncio itself
    sniffio = None

__all__ = ["call_soon", "callback_context", "loop_runs", "soon_from_anywhere", "spawn_detached"]

_detached: set["asyncio.Task[None]"] = set()


def loop_runs() -> bool:
    """Whether an event loop runs in this thread, and this is called from it."""
    try:
        anyio.get_current_task()
    except Exception:  # its type differs between the versions of anyio
        return False
    return True


def call_soon(function: Callable[[], None], context: contextvars.Context) -> None:
    """Call `function` in the event loop's next turn; it must not raise. Costs no task.

    Args:
        function: What to call.
        context: Made by `callback_context`. (On trio the caller's own is as good.)
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(function)
        return
    loop.call_soon(function, context=context)


def callback_context() -> contextvars.Context:
    """A copy of the present context, in which anyio works in a callback of asyncio's as in a task.

    Outside of tasks anyio does not know which event loop runs, so its clock and its task groups would raise there, for
    us and for a listener that is called from the callback.
    """
    context = contextvars.copy_context()
    if sniffio is not None:
        context.run(sniffio.current_async_library_cvar.set, "asyncio")
    return context


def soon_from_anywhere() -> Callable[[Callable[[], None]], object]:
    """What calls a function in the next turn of the event loop that runs now, from wherever it is used itself.

    From another thread, that is, or from a finalizer, which may run in any. Where no event loop runs now it calls at
    once. Once the loop is closed it does nothing.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _soon_on_trio()
    return partial(_unless_closed, partial(loop.call_soon_threadsafe, context=callback_context()))


def _soon_on_trio() -> Callable[[Callable[[], None]], object]:
    try:
        import trio

        token = trio.lowlevel.current_trio_token()
    except (ImportError, RuntimeError):
        return lambda function: function()
    return partial(_unless_closed, token.run_sync_soon)


def _unless_closed(soon: Callable[[Callable[[], None]], object], function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # trio's RunFinishedError is one too
        soon(function)


def spawn_detached(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` as a task that belongs to the event loop itself; it must not raise."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(main, context=contextvars.copy_context())
        return
    task = loop.create_task(main())
    _detached.add(task)  # the loop holds tasks weakly
    task.add_done_callback(_detached.discard)
