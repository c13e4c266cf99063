"""A task where it runs: what is left of it when it has ended."""

import gc
import weakref

import anyio
import pytest

import mcpc
from support import make_server

pytestmark = pytest.mark.anyio


class Large:
    """Something that a worker holds in its frame."""


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_failed_task_keeps_nothing_of_its_worker_alive(kind: str) -> None:
    server = make_server()
    callbacks = mcpc.MCPCHelper(server)
    held: list[weakref.ref[Large]] = []

    def fail() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise ValueError("no such row")

    async def in_the_loop(task: mcpc.Task) -> None:
        fail()

    def in_a_thread(task: mcpc.SyncTask) -> None:
        fail()

    callbacks.tool("failing")(in_the_loop if kind == "async" else in_a_thread)
    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            with pytest.raises(mcpc.TaskFailed, match="no such row"):
                await (await client.start_task("failing")).result()
            gc.collect()
            while held[0]() is not None:  # the thread lets go a moment later
                gc.collect()
                await anyio.lowlevel.checkpoint()
