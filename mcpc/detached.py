"""Work that belongs to the event loop itself: tasks that outlive whoever began them, and calls in its next turn."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

sniffio: Any
try:
    import sniffio
except ImportError:  # anyio then asks asyncio itself
    sniffio = None

__all__ = ["call_soon", "in_callback", "spawn_detached"]

_detached: set["asyncio.Task[None]"] = set()


def call_soon(function: Callable[[], None]) -> None:
    """Call `function` in the event loop's next turn; it must not raise. Costs no task."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(function)
        return
    in_callback(loop.call_soon, function)


def in_callback(register: Callable[..., Any], *args: Any) -> None:
    """Give asyncio a callback (`register` does) in which anyio works as in a task.

    Outside of tasks anyio does not know which event loop runs, so its clock and its task groups would raise there, for
    us and for a listener that is called from the callback.
    """
    context = contextvars.copy_context()
    if sniffio is not None:
        context.run(sniffio.current_async_library_cvar.set, "asyncio")
    context.run(register, *args)


def spawn_detached(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` as a task that belongs to the event loop itself; it must not raise."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(main)
        return
    task = loop.create_task(main())
    _detached.add(task)  # the loop holds tasks weakly
    task.add_done_callback(_detached.discard)
