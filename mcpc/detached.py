"""Tasks that belong to the event loop itself, for work that outlives whoever began it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["spawn_detached"]

_detached: set["asyncio.Task[None]"] = set()


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
