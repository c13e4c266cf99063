"""Hosts that wait only seconds: a plain call becomes a handle, and companion tools let a model look after the task."""

import json
from collections.abc import Callable
from typing import Any, cast

import anyio
import mcp
import pytest
from fastmcp import FastMCP
from mcp.server import MCPServer, Server
from mcp_types import CallToolResult, ElicitResult, TextContent

import mcpc

pytestmark = pytest.mark.anyio

COMPANIONS = {"task_news", "task_answer", "task_send", "task_stop"}
KINDS: dict[str, Callable[[str], Any]] = {"MCPServer": MCPServer[Any], "Server": Server[Any], "FastMCP": FastMCP[Any]}


@pytest.fixture(params=list(KINDS))
def server(request: pytest.FixtureRequest, anyio_backend: str) -> Any:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return KINDS[request.param]("handles")


class Host:
    """A host with a fake model: it calls tools, and reads the answers. Its seconds are in `test_patient_callers`."""

    def __init__(self, client: mcp.Client) -> None:
        self._client = client
        self.calls = 0

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        self.calls += 1
        return await self._client.call_tool(tool, arguments)

    async def told(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a call says, as the model reads it."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        structured = cast("dict[str, Any]", result.structured_content)
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert json.loads(block.text[block.text.index('{"task_id"') :]) == structured
        return structured


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_model_in_a_host_that_waits_seconds_runs_a_longer_task_to_its_end(server: Any, mode: Any) -> None:
    callbacks = mcpc.MCPCHelper(server, plain="handle", after=0.05, stop_grace=0.05)
    go = anyio.Event()

    @callbacks.tool()
    async def research(topic: str, task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        await task.update({"status": "reading"})
        await go.wait()
        depth = await task.ask("How deep?", choices=[1, 2, 3])
        async for word in task.inputs():
            topic += f", {word}"
            break
        await task.update("writing")
        return {"topic": topic, "depth": depth}

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://handles") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as client:
                host = Host(client)
                listed = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert set(listed) == {"research", *COMPANIONS}
                assert listed["research"].output_schema is None
                handle = await host.told("research", topic="ants")
                task_id, since = handle["task_id"], handle["since"]
                assert handle["status"] == "running"
                heard = list(handle["news"])
                while not heard:  # on a busy machine the handle may be first
                    news = await host.told("task_news", task_id=task_id, since=since)
                    heard, since = news["news"], news["since"]
                assert [entry["value"] for entry in heard] == [{"status": "reading"}]
                nothing = await host.told("task_news", task_id=task_id, since=since)
                assert nothing["news"] == []  # it waited, and nothing came
                go.set()
                while not (news := await host.told("task_news", task_id=task_id, since=since)).get("questions"):
                    since = news["since"]
                (question,) = news["questions"]
                assert question["message"] == "How deep?"
                wrong = await host.call("task_answer", task_id=task_id, answer=9)
                assert wrong.is_error
                await host.told("task_answer", task_id=task_id, answer=2, question_id=question["id"])
                await host.told("task_send", task_id=task_id, input="bees")
                since = 0
                seen: list[Any] = []
                while (news := await host.told("task_news", task_id=task_id, since=since))["status"] != "complete":
                    seen += news["news"]
                    since = news["since"]
                assert news["result"] == {"topic": "ants, bees", "depth": 2}
                again = await host.told("task_news", task_id=task_id, since=0)
                assert [entry["kind"] for entry in again["news"]] == ["update", "question", "update"]
                assert [entry["number"] for entry in again["news"]] == [1, 2, 3]
                assert again["result"] == news["result"]
                for tool in ("task_news", "task_stop"):
                    unknown = await host.call(tool, task_id="00000000-0000-4000-8000-000000000000")
                    assert unknown.is_error


async def test_what_is_over_soon_is_answered_as_ever_and_what_waits_is_per_tool(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool(plain="handle", after=60)
    async def quick(n: int) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        return {"n": n}

    @callbacks.tool(plain="handle", after=0.0, title="Slow")
    async def slow(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        await task.stopping()
        return "half"

    @callbacks.tool()
    async def waits() -> int:  # pyright: ignore[reportUnusedFunction]
        return 1

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://handles") as listener:
            async with mcp.Client(mcpc.connect(listener.uri)) as client:
                host = Host(client)
                listed = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert set(listed) == {"quick", "slow", "waits", *COMPANIONS}
                assert listed["waits"].output_schema is not None
                assert (await host.call("quick", n=3)).structured_content == {"n": 3}
                assert (await host.call("waits")).structured_content == {"result": 1}
                assert (await host.call("quick", n="many")).is_error
                handle = await host.told("slow")
                await host.told("task_stop", task_id=handle["task_id"])
                while (news := await host.told("task_news", task_id=handle["task_id"]))["status"] != "failed":
                    pass
                assert news["result"]["error"] == "stopped"
                assert news["result"]["result"] == "half"
            async with mcpc.Client(listener.uri) as ours:  # who follows tasks gets no handle
                task = await ours.start_task("quick", {"n": 4})
                assert await task.result() == {"n": 4}


async def test_companions_are_listed_only_where_a_tool_hands_out_its_tasks(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server)

    @callbacks.tool()
    async def waits() -> int:  # pyright: ignore[reportUnusedFunction]
        return 1

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["waits"]
    wrong: list[dict[str, Any]] = [{"plain": "later"}, {"after": -1}, {"after": "soon"}, {"after": float("inf")}]
    for options in wrong:
        with pytest.raises(ValueError, match=r"(plain|after) is "):
            callbacks.tool("other", **options)(lambda: None)
        with pytest.raises(ValueError, match=r"(plain|after) is "):
            mcpc.MCPCHelper(MCPServer[Any]("x"), **options)


async def test_a_caller_that_can_be_asked_is_asked_while_it_waits_and_by_the_companions_after(server: Any) -> None:
    callbacks = mcpc.MCPCHelper(server, plain="handle", after=0.3)
    go = anyio.Event()

    @callbacks.tool()
    async def asks(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        first = await task.ask("first?", choices=["a"])
        await go.wait()
        return {"answers": [first, await task.ask("second?", choices=["b"])]}

    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"answer": "a"})

    with anyio.fail_after(60):
        async with mcpc.listen(server, "memory://handles") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), elicitation_callback=answer) as client:
                host = Host(client)
                news = await host.told("asks")
                go.set()
                while news["status"] != "complete":
                    for question in news.get("questions", []):  # the first too, where the machine was that slow
                        (fitting,) = question["choices"]
                        news = await host.told("task_answer", task_id=news["task_id"], answer=fitting)
                    news = await host.told("task_news", task_id=news["task_id"])
                assert news["result"] == {"answers": ["a", "b"]}
