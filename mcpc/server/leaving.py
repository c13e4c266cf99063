"""Held until cancelled, and then left in order: whoever cancels means the holding, not the leaving."""

from collections.abc import Awaitable, Callable

import anyio

__all__ = ["until_cancelled"]


async def until_cancelled(hold: Callable[[anyio.Event], Awaitable[None]]) -> None:
    """Run `hold` until it ends by itself. Where we are cancelled, it is told by the event, and its end is waited for.

    Args:
        hold: Holds something open until the event is set, and puts it in order then. It is not cancelled itself.

    Raises:
        Exception: what `hold` raised.
    """
    failures: list[Exception] = []
    leaving, left = anyio.Event(), anyio.Event()

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            try:
                await hold(leaving)
            except Exception as exc:
                failures.append(exc)
        left.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shielded)
            try:
                await left.wait()
            finally:
                leaving.set()
    finally:
        if failures:  # also where we were cancelled: what went wrong while leaving is not lost with that
            raise failures[0]
