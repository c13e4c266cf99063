"""Tasks in the style of mcpc 0.2: known for as long as their server remembers them, though nobody cleans up."""

from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer

import mcpc
from mcpc.server.begun import PRUNED_FROM

pytestmark = pytest.mark.anyio

KEPT = 5


class Beginning:
    """A server whose tool begins a task, waits for its messages or not, and never cleans up."""

    def __init__(self, **limits: Any) -> None:
        self.server = MCPServer[Any]("begins", log_level="WARNING")
        self.callbacks = mcpc.MCPCHelper(self.server, **limits)

        @self.server.tool()
        async def begin(name: str, wait: bool = True) -> list[str]:  # pyright: ignore[reportUnusedFunction]
            async def work() -> str:
                return name

            started = self.callbacks.start_task(name, work)
            return [message.event for message in await started] if wait else []

    async def ended(self, name: str) -> None:
        """Wait until a task has ended."""
        while self.callbacks.check_task(name).get("is_running"):
            await anyio.lowlevel.checkpoint()


async def test_ended_tasks_are_known_as_long_as_the_server_remembers_them() -> None:
    beginning = Beginning(max_ended_tasks=KEPT)
    with anyio.fail_after(60):
        async with mcp.Client(beginning.server) as client:
            for number in range(3 * PRUNED_FROM):
                answer = await client.call_tool("begin", {"name": f"task {number}"})
                assert not answer.is_error, answer
                assert len(beginning.callbacks.background_tasks) <= PRUNED_FROM
            newest = [f"task {3 * PRUNED_FROM - 1 - back}" for back in range(KEPT + 1)]
            known = [bool(beginning.callbacks.check_task(name)) for name in newest]
            assert known == [True] * KEPT + [False], "as many as are remembered, and not one more"


async def test_one_that_runs_is_never_forgotten() -> None:
    beginning = Beginning(max_ended_tasks=1)
    go = anyio.Event()

    @beginning.server.tool()
    async def hold() -> None:  # pyright: ignore[reportUnusedFunction]
        beginning.callbacks.start_task("held", go.wait)

    with anyio.fail_after(60):
        async with mcpc.Client(beginning.server) as client:
            await client.call_tool("hold")
            for number in range(2 * PRUNED_FROM):
                await client.call_tool("begin", {"name": f"task {number}"})
                await beginning.ended(f"task {number}")
            assert beginning.callbacks.check_task("held").get("is_running")
            go.set()
            await beginning.ended("held")


async def test_messages_that_nobody_waits_for_are_not_kept() -> None:
    beginning = Beginning()
    with anyio.fail_after(60):
        async with mcp.Client(beginning.server) as client:
            await client.call_tool("begin", {"name": "left", "wait": False})
            await beginning.ended("left")
            outlet = beginning.callbacks.background_tasks["left"]["task"].outlet
            assert vars(outlet)["_collected"]() is None
            answer = await client.call_tool("begin", {"name": "awaited"})
            assert [block.text for block in answer.content] == ["complete"]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
