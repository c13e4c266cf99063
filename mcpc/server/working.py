"""`work`: a server that listens nowhere, and runs the tasks that servers of the same tools have entered for it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import anyio

from mcpc.errors import MCPCError
from mcpc.server.binding import Binding, bind
from mcpc.server.leaving import until_cancelled
from mcpc.server.serving import ServerEndpoint, held
from mcpc.server.store_option import SHARED
from mcpc.server.stored_workshop import StoredWorkshop

__all__ = ["Working", "work"]

DEFAULT_CONCURRENCY = 100
"""Tasks that a worker process runs at once, where it is not told."""


@dataclass(frozen=True)
class Working:
    """A worker that is ready."""

    name: str
    """The server's name."""
    tools: tuple[str, ...]
    """Whose tasks it runs."""
    store: str | None
    """The address of the store that they come from; None for one without an address."""


Told = Callable[[Working], None]


async def work(server: Any, *, concurrency: int = DEFAULT_CONCURRENCY, on_ready: Told | None = None) -> None:
    """Run the tasks of the tools made with `run="worker"`, until cancelled. Nothing is listened to.

    The server is made as for `serve`, with the same tools and the same store; any number of processes may work. Each
    takes what waits for a worker, and what another's death has left (see `on_interrupt`). When it is cancelled, tasks
    that may run again are given back, for another to go on with at once; the others are stopped, within the server's
    `shutdown_grace`.

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        concurrency: Tasks that run at once here.
        on_ready: Called once tasks are taken.

    Raises:
        MCPCError: it is not a server, it has no store or no such tool, or `concurrency` is out of range.
        StoreError: the store cannot be used.
    """
    binding = bind(server)
    workshop = _workshop_of(binding, concurrency)

    async def hold(leaving: anyio.Event) -> None:
        async with _working(binding, workshop, concurrency):
            if on_ready is not None:
                on_ready(Working(binding.name, tuple(workshop.duties.away), binding.store))
            await leaving.wait()

    await until_cancelled(hold)  # whoever cancels us means the work, not the giving back


def _workshop_of(binding: Binding, concurrency: int) -> StoredWorkshop:
    """Where the tasks of a server's worker are done.

    Raises:
        MCPCError: there is nothing to work for, or it cannot be done.
    """
    workshop = binding.workshop
    if not isinstance(workshop, StoredWorkshop):
        raise MCPCError(f"{binding.name} has no store, so no server can leave it anything to do: {SHARED}")
    if not workshop.duties.away:
        raise MCPCError(f'{binding.name} has nothing for a worker to do: none of its tools has run="worker"')
    most = workshop.limits.max_tasks
    if not 1 <= concurrency <= most:
        raise MCPCError(f"concurrency is a number from 1 to {most} (max_tasks), not {concurrency}")
    return workshop


@asynccontextmanager
async def _working(binding: Binding, workshop: StoredWorkshop, concurrency: int) -> AsyncGenerator[None]:
    """Take tasks, for as long as the context lasts."""
    duties = workshop.duties
    duties.serves, duties.slots = workshop.listeners > 0, concurrency
    try:
        async with held(workshop, ServerEndpoint(binding).lifespan(), nullcontext(), "the worker"):
            workshop.look_for_work()
            yield
    finally:
        duties.serves, duties.slots = True, 0
