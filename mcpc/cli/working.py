"""What `mcpc worker` does: the tasks of a server object, until a signal."""

from typing import Any

import anyio

import mcpc
from mcpc.cli.loading import load_server
from mcpc.cli.mistakes import COMPLETE, mistakes_told
from mcpc.cli.running import run, until_signal
from mcpc.cli.speech import say
from mcpc.cli.store_option import check_store, choose_store

__all__ = ["work"]


def work(target: str, store: str | None, concurrency: int) -> None:
    """Run the tasks of the server that `target` names."""
    with mistakes_told():
        choose_store(store)
        server = load_server(target)
    run(lambda: _work(server, store, concurrency))


async def _work(server: Any, store: str | None, concurrency: int) -> int:
    def ready(working: mcpc.Working) -> None:
        check_store(working.store, store)
        say(f"working for {working.name}: {', '.join(working.tools)}; {concurrency} at once")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_at_signal, tasks.cancel_scope)
        await mcpc.work(server, concurrency=concurrency, on_ready=ready)
    return COMPLETE


async def _cancel_at_signal(scope: anyio.CancelScope) -> None:
    await until_signal()
    scope.cancel()
