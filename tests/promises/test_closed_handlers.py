"""On asyncio a `GeneratorExit` that a thread raised closes all that waits for it: its call alone ends, in every era."""

from typing import Annotated, Any

import anyio
import anyio.to_thread
import mcp
import pytest
from fastmcp import FastMCP
from fastmcp.dependencies import Depends
from mcp.server import MCPServer
from mcp.server.mcpserver.resolve import Resolve
from mcp.shared.exceptions import MCPError

import mcpc

pytestmark = pytest.mark.anyio

KINDS = ["MCPServer", "FastMCP", "mounted"]
PLACES = [("http://127.0.0.1:0/mcp", "legacy"), ("http://127.0.0.1:0/mcp", "auto"), ("memory://closed", "auto")]
TOLD = "GeneratorExit: closed"
DEADLINE = 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # trio closes nothing, and uvicorn and FastMCP need asyncio


def fail() -> str:
    raise GeneratorExit("closed")


def server_of(kind: str) -> Any:
    """A server whose code raises in threads: tools of its own, a prompt, a resource, a worker and what is injected."""
    made: Any = MCPServer[Any]("closed", log_level="CRITICAL") if kind == "MCPServer" else FastMCP[Any]("closed")
    callbacks = mcpc.MCPCHelper(made, shutdown_grace=0.1)
    made.tool()(fail)
    made.prompt("greet")(fail)
    made.resource("failing://one")(fail)

    @made.tool()
    async def waits() -> str:  # pyright: ignore[reportUnusedFunction]
        return await anyio.to_thread.run_sync(fail)

    @callbacks.tool()
    async def worker(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        return await anyio.to_thread.run_sync(fail)

    if kind == "MCPServer":

        @callbacks.tool()
        async def given(task: mcpc.Task, value: Annotated[str, Resolve(fail)]) -> str:  # pyright: ignore[reportUnusedFunction]
            return value
    else:
        injected: Any = Depends(fail)

        @callbacks.tool(name="given")
        async def fastmcp_given(task: mcpc.Task, value: Any = injected) -> str:  # pyright: ignore[reportUnusedFunction]
            return value

    @callbacks.tool()
    async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
        async for _ in task.inputs():
            return "fine"
        return "stopped"

    if kind != "mounted":
        return made
    outer = FastMCP[Any]("outer")
    outer.mount(made)
    mcpc.MCPCHelper(outer, shutdown_grace=0.1)
    return outer


@pytest.mark.parametrize(("uri", "mode"), PLACES)
@pytest.mark.parametrize("kind", KINDS)
async def test_its_own_call_ends_and_nothing_else(kind: str, uri: str, mode: str) -> None:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server_of(kind), uri) as listener:
            async with (
                mcpc.Client(listener.uri, mode=mode) as other,
                mcp.Client(mcpc.connect(listener.uri), mode=mode) as client,
            ):
                untouched = await other.start_task("wait")
                assert TOLD in await told(client.call_tool("fail", {}))
                assert TOLD in await told(client.get_prompt("greet"))
                assert TOLD in await told(client.read_resource("failing://one"))
                for tool in ("worker", "given"):
                    assert await told(client.call_tool(tool, {}))
                with pytest.raises(mcpc.TaskFailed, match="GeneratorExit"):
                    await (await other.start_task("worker")).result()
                assert await client.list_tools()
                await untouched.send("go on")
                assert await untouched.result() == "fine"


async def told(request: Any) -> str:
    """The error that a request was answered with, whichever kind it is of; empty for none."""
    try:
        answer = await request
    except MCPError as exc:
        return str(exc)
    return str(answer.content) if answer.is_error else ""


async def test_an_async_tool_that_waits_for_such_a_thread_ends_its_session_alone() -> None:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server_of("MCPServer"), "http://127.0.0.1:0/mcp") as listener:
            async with mcpc.Client(listener.uri, mode="legacy") as other:
                untouched = await other.start_task("wait")
                async with mcp.Client(mcpc.connect(listener.uri), mode="legacy") as client:
                    with pytest.raises(MCPError):
                        await client.call_tool("waits", {})
                await untouched.send("go on")
                assert await untouched.result() == "fine"
