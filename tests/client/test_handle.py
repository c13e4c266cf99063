"""One task as its client sees it: whoever reads, and whoever waits, comes to an end."""

from typing import Any

import anyio
import pytest

import mcpc
from mcpc.client.handle import TaskHandle
from mcpc.flow import Flow
from mcpc.messages import MCPCMessage
from mcpc.queue import Overflow, TaskQueue

pytestmark = pytest.mark.anyio


def message(result: Any, event: str = "update") -> MCPCMessage:
    return MCPCMessage(event=event, session_id="s", task_id="t", tool_name="n", result=result)


def prompt(number: int) -> MCPCMessage:
    return message({"prompt": {"id": str(number), "message": "?"}})


def handle_with(flow: Flow | None = None, capacity: int = 10, overflow: Overflow = "coalesce") -> TaskHandle:
    return TaskHandle("t", "n", "s", TaskQueue(capacity, overflow, flow or Flow()))


async def test_two_readers_share_the_messages_and_both_end() -> None:
    handle, got = handle_with(), list[Any]()

    async def read() -> None:
        async for item in handle:
            got.append(item.result)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            for item in (message(1), message(2), message(3, "complete")):
                handle.feed(item)
                await anyio.wait_all_tasks_blocked()
    assert sorted(got) == [1, 2, 3]


async def test_two_readers_of_a_lost_task_both_learn_of_it() -> None:
    handle, learnt = handle_with(), list[str]()

    async def read() -> None:
        with pytest.raises(mcpc.ConnectionLost):
            async for _ in handle:
                pass
        learnt.append("lost")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            handle.lose(mcpc.ConnectionLost("gone"))
    assert learnt == ["lost", "lost"]


@pytest.mark.parametrize("overflow", ["coalesce", "block"])
async def test_the_result_comes_though_nobody_reads_and_the_queue_is_full(overflow: Overflow) -> None:
    flow = Flow()
    handle = handle_with(flow, capacity=2, overflow=overflow)
    for number in range(2):
        assert handle.takes()
        handle.feed(prompt(number))
    assert not handle.takes()
    assert flow.stopped
    results: list[Any] = []

    async def wait() -> None:
        results.append(await handle.result())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not flow.stopped, "whoever waits for the result does not read"
            for item in (*map(prompt, range(2, 6)), message("done", "complete")):
                assert handle.takes()
                handle.feed(item)
    assert results == ["done"]
    assert handle.stats.dropped == 5
    assert [item.event async for item in handle][-1] == "complete"


async def test_a_reader_that_reads_still_holds_the_flow_back() -> None:
    flow = Flow()
    handle = handle_with(flow, capacity=1, overflow="block")
    handle.feed(message(1))
    assert not handle.takes()
    assert (await anext(handle)).result == 1
    assert not flow.stopped


async def test_a_prompt_that_is_closed_is_open_no_more() -> None:
    handle = handle_with()
    handle.feed(prompt(1))
    assert (handle.status, list(handle.prompts)) == ("waiting", ["1"])
    handle.closed("1")
    assert (handle.status, handle.prompts) == ("running", {})


async def test_what_comes_after_the_end_changes_nothing() -> None:
    handle = handle_with()
    handle.lose(mcpc.ConnectionLost("gone"))
    assert handle.feed(message("late", "complete"))
    with pytest.raises(mcpc.ConnectionLost):
        await handle.result()


async def test_who_waits_to_know_of_a_task_learns_that_it_was_lost() -> None:
    handle, learned = handle_with(), list[str]()

    async def wait() -> None:
        try:
            await handle
        except mcpc.UnknownTask as exc:
            learned.append(str(exc))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            handle.lose(mcpc.UnknownTask("no such task"))
    assert learned == ["no such task"]
