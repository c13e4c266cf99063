"""Work that belongs to the event loop itself: tasks that outlive whoever began them, and calls in its next turn."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["call_soon", "spawn_detached"]

_detached: set["asyncio.Task[None]"] = set()


def call_soon(function: Callable[[], None]) -> None:
    """Call `function` in the event loop's next turn; it must not raise. Costs no task."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(function)
        return
    loop.call_soon(function)


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
