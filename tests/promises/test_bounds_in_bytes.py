"""What a server keeps is bounded in bytes: results of ended tasks, and the logs of all channels together."""

import contextvars
import gc
from types import FunctionType, ModuleType
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.server import MCPServer
from mcp_types import TextContent

import mcpc

pytestmark = pytest.mark.anyio

BIG = 50_000


class Talker:
    """A server whose tasks say, and end with, what they are told."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("talker", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)

        @self.callbacks.tool()
        async def say(task: mcpc.Task, count: int = 0, size: int = BIG) -> str:  # pyright: ignore[reportUnusedFunction]
            for _ in range(count):
                await task.update("u" * size)
            return "r" * size


async def test_results_are_kept_within_their_bytes_and_the_first_ended_goes() -> None:
    talker = Talker(max_ended_bytes=4 * BIG)  # a result is counted with the answer, which holds it twice
    with anyio.fail_after(60):
        async with mcpc.Client(talker.server) as client:
            first = await client.start_task("say")
            assert await first.result() == "r" * BIG
            assert (await first.state())["status"] == "complete"
            second = await client.start_task("say")
            await second.result()
            assert (await second.state()).get("lastMessage", {}).get("result") == "r" * BIG
            with pytest.raises(mcpc.UnknownTask):
                await first.state()
            stats = talker.callbacks.stats
            assert (stats.ended_tasks, stats.ended_forgotten) == (1, 1)
            assert 3 * BIG < stats.ended_bytes <= 4 * BIG


async def test_a_result_over_the_bound_alone_is_kept_all_the_same() -> None:
    talker = Talker(max_ended_bytes=10)
    with anyio.fail_after(60):
        async with mcpc.Client(talker.server) as client:
            task = await client.start_task("say")
            await task.result()
            assert (await task.state())["status"] == "complete"


async def test_the_logs_of_all_channels_share_a_bound_and_the_largest_that_nobody_reads_makes_room() -> None:
    talker = Talker(max_total_bytes=20 * BIG)
    with anyio.fail_after(60):
        async with mcpc.listen(talker.server, "memory://bounded") as listener:
            async with mcpc.Client(listener.uri, channel="a-channel-that-is-left") as away:
                left = await away.start_task("say", {"count": 15})
                assert await left.result() == "r" * BIG
            assert talker.callbacks.stats.logs_shrunk == 0
            async with mcpc.Client(listener.uri) as here:
                seen: list[Any] = []
                here.add_event_listener(lambda message: seen.append(message.event))
                assert await (await here.start_task("say", {"count": 12})).result() == "r" * BIG
                assert seen.count("update") == 12
                assert "gap" not in seen
            stats = talker.callbacks.stats
            assert stats.logs_shrunk > 0
            assert stats.messages_evicted > 0
            assert stats.message_bytes <= 21 * BIG

            gaps: list[Any] = []
            again = mcpc.Client(listener.uri, channel="a-channel-that-is-left")
            again.add_event_listener(gaps.append, event="gap")
            task = again.task(left.task_id)
            async with again:
                assert await task.result() == "r" * BIG  # the last message is not let go of
            assert len(gaps) == 1


async def stats_after_events_to_two_channels(**limits: Any) -> mcpc.ServerStats:
    """What is counted when nobody reads, and each message is so large that it is counted at once."""
    talker = Talker(**limits)
    async with mcpc.listen(talker.server, "memory://to-the-byte") as listener, mcpc.Client(listener.uri) as client:
        for number, session in enumerate(("one", "two"), start=1):
            meta: Any = {"mcpc/channel": f"a-channel-that-nobody-reads-{session}", "mcpc/sessionId": session}
            assert not (await client.call_tool("say", {"size": 1}, meta=meta)).is_error
            while talker.callbacks.stats.ended_tasks < number:
                await anyio.lowlevel.checkpoint()
        for session in ("one", "two", "two"):
            assert await talker.callbacks.emit("note", "x" * 3000, session_id=session) == 1
        return talker.callbacks.stats


async def test_all_logs_together_hold_max_total_bytes_to_the_byte() -> None:
    with anyio.fail_after(60):
        whole = (await stats_after_events_to_two_channels()).message_bytes
        assert whole > 9000
        at_the_limit = await stats_after_events_to_two_channels(max_total_bytes=whole)
        one_past = await stats_after_events_to_two_channels(max_total_bytes=whole - 1)
    assert (at_the_limit.logs_shrunk, at_the_limit.message_bytes) == (0, whole)
    assert one_past.logs_shrunk == 1
    assert one_past.message_bytes < whole


async def test_results_that_nobody_reads_refuse_new_tasks_and_lose_nothing() -> None:
    talker = Talker(max_total_bytes=4 * BIG)
    with anyio.fail_after(60):
        async with mcpc.listen(talker.server, "memory://unread") as listener:
            meta: Any = {"mcpc/channel": "a-channel-without-a-listener", "mcpc/sessionId": "s"}
            async with mcpc.Client(listener.uri) as client:
                started = 0
                while not (answer := await client.call_tool("say", meta=meta)).is_error:
                    started += 1
                    while talker.callbacks.stats.ended_tasks < started:
                        await anyio.lowlevel.checkpoint()
                assert "max_total_bytes" in str(answer.content)
                assert 4 <= started <= 6
                async with mcpc.Client(listener.uri) as other:  # who has nothing unread may start
                    assert await (await other.start_task("say")).result() == "r" * BIG
            again = mcpc.Client(listener.uri, channel="a-channel-without-a-listener")
            ended: list[Any] = []
            done = anyio.Event()

            def listen(message: mcpc.MCPCMessage) -> None:
                if message.event == "complete":
                    ended.append(message.result)
                    if len(ended) == started:
                        done.set()

            again.add_event_listener(listen)
            async with again:
                await done.wait()
            assert ended == ["r" * BIG] * started


@pytest.mark.parametrize(
    ("limits", "kept"),
    [({"max_bytes": 4 * BIG}, 4), ({"max_messages": 5}, 5), ({"max_bytes": 1}, 1), ({}, 11)],
    ids=["bytes", "count", "one over the bound", "all"],
)
async def test_messages_collected_for_a_plain_caller_are_bounded_and_the_newest_stay(
    limits: dict[str, int], kept: int
) -> None:
    server = MCPServer[Any]("collects", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, **limits)  # pyright: ignore[reportArgumentType]
    dropped: list[int] = []

    @server.tool()
    async def say() -> list[Any]:  # pyright: ignore[reportUnusedFunction]
        async def work() -> Any:
            for number in range(10):
                yield callbacks.create_task_event("update", "say", "s", "t", result=f"{number}".ljust(BIG, "."))

        started = callbacks.start_task("t", work)
        messages = await started
        dropped.append(started.dropped)
        return [f"{message.result}"[:1] for message in messages]

    with anyio.fail_after(60):
        async with Client(server) as plain:
            result = await plain.call_tool("say", {})
            assert not result.is_error, result
            told = [block.text for block in result.content if isinstance(block, TextContent)]
    assert dropped == [11 - kept]
    assert len(told) == kept
    assert told[:-1] == [str(number) for number in range(11 - kept, 10)], "and the last is the end"


async def test_a_context_that_a_worker_leaves_behind_holds_no_log() -> None:
    # A timer that was cancelled keeps its context until its time comes: on asyncio that of `sleep_forever` never does.
    talker = Talker(channel_ttl=0.01, task_ttl=0.01)
    left = list[contextvars.Context]()

    @talker.callbacks.tool()
    async def leave(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        for _ in range(10):
            await task.update("u" * BIG)
        left.append(contextvars.copy_context())
        return "left"

    workshop = talker.callbacks.binding.workshop
    with anyio.fail_after(60):
        async with mcpc.listen(talker.server, "memory://left-behind") as listener:
            async with mcpc.Client(listener.uri) as client:
                assert await (await client.start_task("leave")).result() == "left"
            while talker.callbacks.stats.channels or len(workshop.registry):
                workshop.sweep()
                await anyio.lowlevel.checkpoint()
    assert _held_by(left) <= 2 * BIG, "the task's last update at the most"


def _held_by(roots: list[contextvars.Context]) -> int:
    """Bytes of the larger values that are held, but for the code."""
    found = dict[int, Any]()
    waiting: list[Any] = [value for context in roots for value in context.values()]
    while waiting:
        value = waiting.pop()
        if id(value) in found or isinstance(value, (type, ModuleType, FunctionType)):
            continue
        found[id(value)] = value
        waiting += gc.get_referents(value)
    return sum(len(value) for value in found.values() if isinstance(value, (bytes, str)) and len(value) >= BIG)
