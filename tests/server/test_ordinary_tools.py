"""An ordinary tool of a server with a helper, started as a task: it is one from outside, in both eras."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from fastmcp import Context as FastContext
from fastmcp import FastMCP
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

import mcpc
from mcpc.client.handle import TaskHandle
from support import ASYNCIO_ONLY, serving

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Gate:
    """Where an ordinary tool waits, and what the test learns of it."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.open = anyio.Event()
        self.cancelled = anyio.Event()

    async def passed(self) -> None:
        self.reached.set()
        try:
            await self.open.wait()
        except BaseException:
            self.cancelled.set()
            raise


def server_of(kind: str, gate: Gate) -> Any:
    """A server with a helper, a background tool and an ordinary one."""
    server: Any
    if kind == "MCPServer":
        server = MCPServer[Any]("ordinary", log_level="WARNING")

        @server.tool()
        async def count(ctx: Context[Any, Any]) -> int:  # pyright: ignore[reportUnusedFunction]
            await gate.passed()
            for number in (0, 1):
                await ctx.report_progress(number, 2, f"row {number}")
            return 2
    else:
        server = FastMCP[Any]("ordinary")

        @server.tool()
        async def count(ctx: FastContext) -> int:  # pyright: ignore[reportUnusedFunction]
            await gate.passed()
            for number in (0, 1):
                await ctx.report_progress(number, 2, f"row {number}")
            return 2

    @mcpc.MCPCHelper(server).tool()
    async def job(task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
        return 1

    @server.tool()
    async def breaks() -> int:  # pyright: ignore[reportUnusedFunction]
        await gate.passed()
        raise ValueError("no such row")

    return server


async def seen_of(task: TaskHandle) -> list[Any]:
    return [(message.event, message.result) async for message in task]


@ERAS
@pytest.mark.parametrize("kind", ["MCPServer", "FastMCP"])
@pytest.mark.parametrize("scheme", ["memory", "unix", "ws", "http", "sse+http"])
async def test_its_start_returns_before_its_end_and_its_progress_comes_as_updates(
    scheme: str, kind: str, mode: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    if (scheme in ASYNCIO_ONLY or kind == "FastMCP") and anyio_backend_name != "asyncio":
        pytest.skip("uvicorn and FastMCP need asyncio")
    if (scheme, mode) == ("sse+http", "auto"):
        pytest.skip("HTTP+SSE has the older era only")
    gate = Gate()
    with anyio.fail_after(60):
        async with serving(scheme, tmp_path, server_of(kind, gate)) as served:
            async with mcpc.Client(served.uri, mode=mode) as client:
                task = await client.start_task("count")
                assert not task.ended
                gate.open.set()
                assert await seen_of(task) == [
                    ("created", "count was called"),
                    ("update", {"progress": 0, "total": 2, "status": "row 0"}),
                    ("update", {"progress": 1, "total": 2, "status": "row 1"}),
                    ("complete", 2),
                ]
                quick = await client.start_task("count")
                assert await quick.result() == 2
                assert await (await client.start_task("job")).result() == 1


@ERAS
async def test_stopping_it_cancels_the_call_and_with_it_the_tool(mode: str) -> None:
    gate = Gate()
    with anyio.fail_after(60):
        async with mcpc.listen(server_of("MCPServer", gate), "memory://ordinary") as listener:
            async with mcpc.Client(listener.uri, mode=mode) as client:
                task = await client.start_task("count")
                with pytest.raises(mcpc.UnknownTask):
                    await task.send("more")
                await task.stop()
                with pytest.raises(mcpc.TaskStopped):
                    await task.result()
                await gate.cancelled.wait()
                failing = await client.start_task("breaks")
                gate.open.set()
                with pytest.raises(mcpc.TaskFailed, match="breaks"):
                    await failing.result()


@ERAS
async def test_a_start_that_is_given_up_leaves_no_call_and_no_handle(mode: str) -> None:
    gate = Gate()
    with anyio.fail_after(60):
        async with mcpc.listen(server_of("MCPServer", gate), "memory://ordinary") as listener:
            async with mcpc.Client(listener.uri, mode=mode) as client:
                with anyio.move_on_after(0.01) as scope:
                    await client.start_task("count")
                if scope.cancelled_caught:
                    assert not client.tasks
                assert (await client.list_tools()).tools


async def test_a_client_that_is_closed_while_it_starts_a_task_says_so() -> None:
    gate = Gate()
    failures: list[BaseException] = []
    with anyio.fail_after(60):
        async with mcpc.listen(server_of("MCPServer", gate), "memory://ordinary") as listener:
            async with anyio.create_task_group() as group:
                client = await mcpc.Client(listener.uri).__aenter__()

                async def start() -> None:
                    try:
                        await (await client.start_task("count")).result()
                    except mcpc.ConnectionLost as exc:
                        failures.append(exc)

                group.start_soon(start)
                await gate.reached.wait()
                await client.__aexit__(None, None, None)
    assert len(failures) == 1
