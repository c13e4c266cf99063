"""What waits at a client is bounded in bytes and counted, over a real connection."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, get_args

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.queue import Overflow

pytestmark = pytest.mark.anyio

BIG = 100_000
"""Bytes of one update: a thousand times the size of an ordinary one."""

SCHEMES = ["memory://{}", "tcp://127.0.0.1:0", "ws://127.0.0.1:0/mcp", "http://127.0.0.1:0/mcp"]


@asynccontextmanager
async def talker(address: str = "memory://{}", **limits: Any) -> AsyncGenerator[str]:
    """A server whose tasks say large things, and where it listens."""
    server = MCPServer[Any]("talker", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, **limits)

    @callbacks.tool()
    async def say(task: mcpc.Task, count: int, size: int = BIG) -> str:  # pyright: ignore[reportUnusedFunction]
        for _ in range(count):
            await task.update("u" * size)
        return "r" * size

    async with mcpc.listen(server, address.format("bytes-at-the-client")) as listener:
        yield listener.uri


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # HTTP has no other
@pytest.mark.parametrize("address", SCHEMES)
async def test_a_handle_that_nobody_reads_keeps_its_bytes_and_has_its_result(address: str) -> None:
    with anyio.fail_after(60):
        async with talker(address) as uri, mcpc.Client(uri) as client:
            task = await client.start_task("say", {"count": 40}, capacity_bytes=10 * BIG)
            assert await task.result() == "r" * BIG
            assert task.stats.waiting_bytes <= 10 * BIG
            assert task.stats.waiting + task.stats.dropped == 42
            last = [message.event async for message in task][-1]
            assert last == "complete"
            assert task.stats.waiting_bytes == 0


async def test_a_handle_with_room_for_all_bytes_keeps_all_and_with_less_it_does_not() -> None:
    with anyio.fail_after(60):
        async with talker() as uri, mcpc.Client(uri) as client:
            task = await client.start_task("say", {"count": 5})
            await task.result()
            whole = task.stats.waiting_bytes
            assert task.stats.dropped == 0
            assert 6 * BIG < whole < 7 * BIG
            # What a frame says beside its messages is shared by them, and frames differ.
            same = await client.start_task("say", {"count": 5}, capacity_bytes=whole + BIG // 2)
            await same.result()
            assert same.stats.dropped == 0
            less = await client.start_task("say", {"count": 5}, capacity_bytes=whole - BIG // 2)
            await less.result()
            assert less.stats.dropped > 0


class Behind:
    """An async listener that waits until it is let go; it knows which events it has seen."""

    def __init__(self, until: str = "complete") -> None:
        self.opened = anyio.Event()
        self.done = anyio.Event()
        self.seen: list[str] = []
        self._until = until

    async def __call__(self, message: mcpc.MCPCMessage) -> None:
        await self.opened.wait()
        self.seen.append(message.event)
        if message.event == self._until:
            self.done.set()


@pytest.mark.parametrize("overflow", get_args(Overflow))
async def test_a_listener_at_its_bytes_does_as_its_policy_says(overflow: Overflow) -> None:
    behind, some, came = Behind(), anyio.Event(), list[str]()

    def count(message: mcpc.MCPCMessage) -> None:
        came.append(message.event)
        if len(came) == 3:
            some.set()

    with anyio.fail_after(60):
        async with talker(stall_timeout=0.1) as uri, mcpc.Client(uri) as client:
            client.add_event_listener(count)
            listener = client.add_event_listener(behind, overflow=overflow, capacity_bytes=4 * BIG)
            task = await client.start_task("say", {"count": 20}, overflow="drop_oldest")
            await some.wait()
            assert listener.stats.waiting_bytes <= 4 * BIG
            if overflow == "block":
                behind.opened.set()
            assert await task.result() == "r" * BIG
            assert listener.stats.waiting_bytes <= 4 * BIG
            behind.opened.set()
            if overflow != "disconnect":
                await behind.done.wait()
            assert listener.stats.disconnected is (overflow == "disconnect")
            assert (listener.stats.dropped > 0) is (overflow in ("coalesce", "drop_oldest"))


async def test_a_message_over_the_bound_of_every_queue_still_comes() -> None:
    behind = Behind()
    behind.opened.set()
    with anyio.fail_after(60):
        async with talker() as uri, mcpc.Client(uri) as client:
            client.add_event_listener(behind, capacity_bytes=1, overflow="block")
            task = await client.start_task("say", {"count": 3}, capacity_bytes=1, overflow="block")
            events = ["created", "update", "update", "update", "complete"]
            assert [message.event async for message in task] == events
            await behind.done.wait()
            assert behind.seen == events


async def test_a_client_counts_what_it_holds_itself() -> None:
    with anyio.fail_after(60):
        async with talker() as uri, mcpc.Client(uri) as client:
            await (await client.start_task("say", {"count": 3})).result()
            assert client.stats == mcpc.ClientStats(0, 0, 0, 0, dropped=0, gaps=0, bad_messages=0)
