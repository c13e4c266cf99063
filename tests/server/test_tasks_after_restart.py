"""The tasks extension (SEP-2663) on a store: a task begun before a restart is got, answered, cancelled and pushed."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc
from sep2663_kit import by_hand

pytestmark = pytest.mark.anyio


def make_server(store: str) -> MCPServer[Any]:
    server = MCPServer[Any]("again", log_level="WARNING")
    callbacks = mcpc.MCPCHelper(server, store=store, shutdown_grace=2.0)

    @callbacks.tool(on_interrupt="resume")
    async def order(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update({"message": "asks"})
        return f"has {await task.ask('Which?', key='which', choices=['a', 'b'])}"

    @callbacks.tool(on_interrupt="restart")
    async def wait(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()

    @callbacks.tool()
    async def total(numbers: list[int], task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        return {"total": sum(numbers)}

    @callbacks.tool()
    async def once(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.update({"message": "runs"})
        await anyio.sleep_forever()

    return server


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_task_of_before_the_restart_is_got_answered_cancelled_and_pushed(scheme: str, tmp_path: Path) -> None:
    store, place = f"sqlite:{tmp_path}/tasks.db", f"{scheme}://127.0.0.1:0/mcp"
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(store), place) as at, by_hand(at.uri) as client:
            ids = {tool: (await client.call(tool))["taskId"] for tool in ("order", "wait", "once")}
            await client.until(ids["order"], "input_required")
            total = (await client.call("total", {"numbers": [1, 2]}))["taskId"]
            before = await client.until(total, "completed")
            assert before["result"]["structuredContent"] == {"total": 3}
        async with mcpc.listen(make_server(store), place) as at, by_hand(at.uri) as client:
            assert (await client.until(total, "completed"))["result"] == before["result"]
            once = await client.until(ids["once"], "cancelled")  # a graceful stop stops what may not run again
            assert once["taskId"] == ids["once"]
            stream = await client.listen(*ids.values())
            state = await client.until(ids["order"], "input_required")
            (key,) = state["inputRequests"]
            content = {"answer": "b"}
            await client.answer(
                "tasks/update",
                {"taskId": ids["order"], "inputResponses": {key: {"action": "accept", "content": content}}},
            )
            done = await client.until(ids["order"], "completed")
            assert done["result"]["content"] == [{"type": "text", "text": "has b"}]
            assert done["result"]["structuredContent"] == {"result": "has b"}  # as its outputSchema says
            await client.answer("tasks/cancel", {"taskId": ids["wait"]})
            await client.until(ids["wait"], "cancelled")
            pushed: dict[str, set[str]] = {}
            while not {"completed"} <= pushed.get(ids["order"], set()) or not {"cancelled"} <= pushed.get(
                ids["wait"], set()
            ):
                message = await stream.next()
                if message["method"] == "notifications/tasks":
                    about = message["params"]
                    pushed.setdefault(about["taskId"], set()).add(about["status"])
            assert pushed[ids["once"]] == {"cancelled"}
