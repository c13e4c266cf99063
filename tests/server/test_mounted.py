"""Background tools of a FastMCP server that another one mounts, and behind FastMCP's own middleware."""

from typing import Any, cast

import anyio
import mcp
import pytest
from fastmcp import FastMCP
from fastmcp.server.middleware.caching import ResponseCachingMiddleware
from mcp_types import ElicitResult, TextContent

import mcpc

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


def family(*, parent_has_helper: bool) -> Any:
    """A server that mounts another, whose tool works in the background."""
    child, parent = FastMCP[Any]("child"), FastMCP[Any]("parent")
    callbacks = mcpc.MCPCHelper(child)

    @callbacks.tool()
    async def job(n: int, task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        for number in range(n):
            await task.update(number)
        return {"answer": await task.ask("which?", choices=["a", "b"])}

    parent.mount(child, namespace="sub")
    if parent_has_helper:
        mcpc.MCPCHelper(parent)
    return parent


@pytest.mark.parametrize("parent_has_helper", [True, False])
async def test_the_tools_of_a_mounted_server_are_served_by_its_parent(parent_has_helper: bool) -> None:
    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"answer": "b"})

    with anyio.fail_after(60):
        async with mcpc.listen(family(parent_has_helper=parent_has_helper), "memory://parent") as listener:
            async with mcpc.Client(listener.uri) as client:
                client.on_prompt(lambda prompt: "a")
                task = await client.start_task("sub_job", {"n": 2})
                updates = [m.result async for m in task if m.event == "update"]
                assert updates[:2] == [0, 1]
                assert await task.result() == {"answer": "a"}
                bad = await client.start_task("sub_job", {"n": "many"})
                with pytest.raises(mcpc.TaskFailed):
                    await bad.result()
            for mode in ("auto", "legacy"):
                plain: Any = mcp.Client(mcpc.connect(listener.uri), mode=mode, elicitation_callback=answer)
                async with plain as caller:
                    result = await caller.call_tool("sub_job", {"n": 1})
                    assert result.structured_content == {"answer": "b"}


@pytest.mark.parametrize("parent_has_helper", [True, False])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_mounted_server_hands_out_its_tasks_and_its_companions_reach_them(
    parent_has_helper: bool, mode: Any
) -> None:
    child, parent = FastMCP[Any]("child"), FastMCP[Any]("parent")

    @mcpc.MCPCHelper(child).tool(plain="handle", after=0.1)
    async def survey(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.update("half")
        async for word in task.inputs():
            return f"surveyed {word}, {await task.ask('which?', choices=['a', 'b'])}"
        return "nothing"

    parent.mount(child, namespace="sub")
    if parent_has_helper:
        mcpc.MCPCHelper(parent)

    async def of(caller: mcp.Client, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await caller.call_tool(f"sub_task_{tool}", arguments)
        assert not answer.is_error, answer.content
        return cast("dict[str, Any]", answer.structured_content)

    with anyio.fail_after(60):
        async with mcpc.listen(parent, "memory://parent") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as caller:
                answer = await caller.call_tool("sub_survey")
                handle = cast("dict[str, Any]", answer.structured_content)
                heard = handle["news"]
                while not heard:  # on a busy machine the handle may be first
                    heard = (await of(caller, "news", task_id=handle["task_id"], since=handle["since"]))["news"]
                assert [entry["value"] for entry in heard] == ["half"]
                assert isinstance(answer.content[0], TextContent)
                assert "Call sub_task_news" in answer.content[0].text
                task_id = handle["task_id"]
                told = await of(caller, "send", task_id=task_id, input="rows")
                while not told.get("questions"):
                    told = await of(caller, "news", task_id=task_id, since=told["since"])
                told = await of(caller, "answer", task_id=task_id, answer="b")
                while "result" not in told:
                    told = await of(caller, "news", task_id=task_id, since=told["since"])
                assert told["result"] == "surveyed rows, b"
                stopped = cast("dict[str, Any]", (await caller.call_tool("sub_survey")).structured_content)["task_id"]
                told = await of(caller, "stop", task_id=stopped)
                while told["status"] != "failed":
                    told = await of(caller, "news", task_id=stopped, since=told["since"])
                assert told["result"]["error"] == "stopped"


async def test_a_cache_of_responses_keeps_results_and_never_that_a_task_was_begun() -> None:
    server = FastMCP[Any]("cached")
    server.add_middleware(ResponseCachingMiddleware())
    callbacks = mcpc.MCPCHelper(server)
    runs: list[int] = []

    @callbacks.tool()
    async def square(n: int, task: mcpc.Task) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        runs.append(n)
        await task.update("squaring")
        return {"square": n * n}

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            tasks = [await client.start_task("square", {"n": 3}) for _ in range(2)]
            assert [await task.result() for task in tasks] == [{"square": 9}] * 2
            again = await client.start_task("square", {"n": 3})
            assert await again.result() == {"square": 9}
            plain = await client.call_tool("square", {"n": 3})
            assert plain.structured_content == {"square": 9}
            assert len({task.task_id for task in (*tasks, again)}) == 3
    assert len(runs) <= 3
