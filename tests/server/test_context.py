"""What a background worker says through the server's own context reaches whoever follows its task."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp
import mcp_types as types
import pytest
from fastmcp import Context as FastMCPContext
from fastmcp import FastMCP
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

import mcpc
from sep2663_kit import by_hand

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


class Answer(BaseModel):
    size: str


async def tell(ctx: Any) -> str:
    await ctx.info("hello")
    await ctx.report_progress(1, 2, "half")
    asked = await ctx.elicit("which size?", Answer)
    if asked.action != "accept":
        return asked.action
    return asked.data.size


def make(kind: str) -> Any:
    """A server with a tool that tells and asks through its context."""
    if kind == "FastMCP":
        fastmcp = FastMCP[Any]("context")

        @mcpc.MCPCHelper(fastmcp).tool()
        async def tells(ctx: FastMCPContext) -> str:  # pyright: ignore[reportUnusedFunction]
            return await tell(ctx)

        return fastmcp
    server = MCPServer[Any]("context", log_level="CRITICAL")

    @mcpc.MCPCHelper(server).tool("tells")
    async def other(ctx: Context) -> str:  # type: ignore[type-arg]  # pyright: ignore
        return await tell(ctx)

    return server


@pytest.fixture(params=["MCPServer", "FastMCP"])
def kind(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "FastMCP" and anyio_backend == "trio":
        pytest.skip("FastMCP runs on asyncio only")
    return request.param


def said(data: Any) -> Any:
    """What a log entry says: FastMCP puts it into an object."""
    return data.get("msg", data) if isinstance(data, dict) else data  # pyright: ignore


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_of_ours_gets_log_entries_progress_and_questions(kind: str, mode: str) -> None:
    logs: list[Any] = []
    logged = anyio.Event()

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        logs.append((params.level, said(params.data)))
        logged.set()

    with anyio.fail_after(60):
        async with mcpc.Client(make(kind), mode=mode, logging_callback=on_log) as client:
            client.on_prompt(lambda prompt: {"size": "small"})
            task = await client.start_task("tells")
            updates = [m.result async for m in task if m.event == "update"]
            assert updates[0] == {"progress": 1, "total": 2, "message": "half"}
            assert updates[1]["prompt"]["message"] == "which size?"
            assert await task.result() == "small"
            await logged.wait()
    assert logs == [("info", "hello")]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_plain_caller_gets_them_as_from_an_ordinary_tool(kind: str, mode: Any) -> None:
    seen: list[float] = []
    logs: list[Any] = []
    actions: list[Any] = ["accept", "decline"]

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        logs.append(said(params.data))

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        action = actions.pop(0)
        return types.ElicitResult(action=action, content={"size": "large"} if action == "accept" else None)

    with anyio.fail_after(60):
        async with mcpc.listen(make(kind), "memory://context") as listener:
            client = mcp.Client(
                mcpc.connect(listener.uri), mode=mode, logging_callback=on_log, elicitation_callback=answer
            )
            async with client as caller:
                for outcome in ("large", "decline"):
                    result = await caller.call_tool("tells", progress_callback=on_progress)
                    assert result.structured_content == {"result": outcome}
    assert seen[0] == 1
    if mode == "legacy":  # at 2026-07-28 a call must ask for log entries
        assert logs == ["hello", "hello"]


async def test_a_follower_by_the_tasks_extension_sees_them_as_the_tasks_state(kind: str) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make(kind), "memory://context") as listener, by_hand(listener.uri) as hand:
            task_id = (await hand.call("tells"))["taskId"]
            asked = await hand.until(task_id, "input_required")
            ((key, request),) = asked["inputRequests"].items()
            assert request["params"]["message"] == "which size?"
            response = {"action": "accept", "content": {"size": "small"}}
            await hand.ask("tasks/update", {"taskId": task_id, "inputResponses": {key: response}})
            ended = await hand.until(task_id, "completed")
            assert ended["result"]["structuredContent"] == {"result": "small"}
            assert ended["statusMessage"] == "half"


async def test_the_state_of_the_servers_life_is_there(kind: str) -> None:
    @asynccontextmanager
    async def life(server: Any) -> AsyncGenerator[dict[str, int]]:
        yield {"answer": 42}

    with anyio.fail_after(60):
        if kind == "FastMCP":
            server: Any = FastMCP[Any]("life", lifespan=life)

            @mcpc.MCPCHelper(server).tool("reads")
            async def reads(ctx: FastMCPContext, task: mcpc.Task) -> int:  # pyright: ignore[reportUnusedFunction]
                await task.update("reading")
                return ctx.lifespan_context["answer"]
        else:
            server = MCPServer[Any]("life", lifespan=life, log_level="CRITICAL")

            @mcpc.MCPCHelper(server).tool("reads")
            async def other(ctx: Context, task: mcpc.Task) -> int:  # type: ignore[type-arg]  # pyright: ignore
                await task.update("reading")
                return ctx.request_context.lifespan_context["answer"]  # pyright: ignore

        async with mcpc.Client(server) as client:
            assert await (await client.start_task("reads")).result() == 42
