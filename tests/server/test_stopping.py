"""Stopping tasks: a flag, a grace, a cancellation, and exactly one terminal message whatever races."""

import threading
import time
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio


def _server(**limits: Any) -> tuple[MCPServer[Any], mcpc.MCPCHelper]:
    server = MCPServer[Any]("stopping", log_level="WARNING")
    return server, mcpc.MCPCHelper(server, **limits)


async def test_a_worker_that_watches_the_flag_ends_with_what_it_has() -> None:
    server, callbacks = _server()

    @callbacks.tool()
    async def watch(task: mcpc.Task) -> list[int]:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()
        assert task.stop_requested
        return [1, 2]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("watch")
            await task.stop()
            with pytest.raises(mcpc.TaskStopped) as stopped:
                await task.result()
            assert stopped.value.result["result"] == [1, 2]


async def test_a_worker_that_does_not_is_cancelled_after_the_grace() -> None:
    server, callbacks = _server(stop_grace=0.05)
    cancelled = anyio.Event()

    @callbacks.tool()
    async def deaf(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("deaf")
            await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
            await cancelled.wait()
            assert [m.event async for m in task] == ["created", "failed"]


async def test_a_worker_in_a_thread_sees_the_flag() -> None:
    server, callbacks = _server()
    left = threading.Event()

    @callbacks.tool()
    def thread(task: mcpc.SyncTask) -> None:  # pyright: ignore[reportUnusedFunction]
        try:
            while True:
                task.check_stopped()
                time.sleep(0.001)
        finally:
            left.set()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            task = await client.start_task("thread")
            await task.stop()
            with pytest.raises(mcpc.TaskStopped):
                await task.result()
    assert left.wait(60)


async def test_a_worker_that_asks_or_waits_for_input_is_woken() -> None:
    server, callbacks = _server()

    @callbacks.tool()
    async def asks(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        return await task.ask("well?")

    @callbacks.tool()
    async def waits(task: mcpc.Task) -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        return [value async for value in task.inputs()]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            for tool in ("asks", "waits"):
                task = await client.start_task(tool)
                while (await task.state())["status"] != ("waiting" if tool == "asks" else "running"):
                    pass
                await task.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await task.result()


@pytest.mark.timeout(900)  # ten thousand calls: a busy machine takes minutes
async def test_five_thousand_races_of_stop_against_complete_end_with_one_terminal_each() -> None:
    races = 5_000  # on each of two event loops
    server, callbacks = _server(max_tasks=races, max_messages=10 * races, max_ended_tasks=races)
    go: list[anyio.Event] = [anyio.Event() for _ in range(100)]

    @callbacks.tool()
    async def race(number: int, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        await go[number % 100].wait()
        if number % 3 == 0:
            await anyio.lowlevel.checkpoint()
        return number

    with anyio.fail_after(880):
        async with mcpc.Client(server) as client:
            terminals: dict[str, int] = {}

            def count(message: mcpc.MCPCMessage) -> None:
                if message.terminal:
                    assert message.task_id is not None
                    terminals[message.task_id] = terminals.get(message.task_id, 0) + 1

            client.add_event_listener(count)
            for batch in range(races // 100):
                go[:] = [anyio.Event() for _ in range(100)]
                tasks = [await client.start_task("race", {"number": batch * 100 + i}) for i in range(100)]
                async with anyio.create_task_group() as group:
                    for i, task in enumerate(tasks):
                        if i % 2:
                            go[i].set()
                        group.start_soon(task.stop)
                        go[i].set()
                    for task in tasks:
                        group.start_soon(_ended, task)
            assert len(terminals) == races
    assert set(terminals.values()) == {1}


async def _ended(task: mcpc.TaskHandle) -> None:
    try:
        await task.result()
    except mcpc.TaskStopped:
        return
