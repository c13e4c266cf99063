"""What leaves a handler or a middleware and is no `Exception` ends its own request alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError

import mcpc

pytestmark = pytest.mark.anyio

ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "exit": (lambda: SystemExit(3), "SystemExit: 3"),
    "interrupt": (lambda: KeyboardInterrupt("by hand"), "KeyboardInterrupt: by hand"),
    "stray": (lambda: asyncio.CancelledError("somebody else's"), "CancelledError: somebody else's"),
    "generator": (lambda: GeneratorExit("closed"), "GeneratorExit: closed"),
    "group": (
        lambda: BaseExceptionGroup("both", [SystemExit(1), ValueError("row 17")]),
        "BaseExceptionGroup: SystemExit: 1; ValueError: row 17",
    ),
}
DEADLINE = 60


class Server:
    """A server whose middleware and handlers raise what they are told, and a tool that does nothing wrong."""

    def __init__(self, error: Callable[[], BaseException], when: str = "never") -> None:
        self.server = MCPServer[Any]("strays", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(self.server, shutdown_grace=0.1)

        async def middleware(ctx: Any, call_next: Any) -> Any:
            concerned = ctx.method == "tools/call" and ctx.params["name"] == "work"
            if concerned and when == "before":
                raise error()
            answer = await call_next(ctx)
            if concerned and when == "after":
                raise error()
            return answer

        callbacks.binding.lowlevel.middleware.append(middleware)

        @callbacks.tool()
        async def work(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            return "done"

        @callbacks.tool()
        async def wait(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            async for _ in task.inputs():
                return "fine"
            return "stopped"

        @self.server.tool()
        def in_a_thread() -> str:  # pyright: ignore[reportUnusedFunction]
            raise error()

        @self.server.prompt()
        async def greet() -> str:  # pyright: ignore[reportUnusedFunction]
            raise error()

        @self.server.resource("failing://one")
        async def read() -> str:  # pyright: ignore[reportUnusedFunction]
            raise error()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ERRORS)
async def test_a_middleware_around_a_background_tool_ends_that_task_alone(name: str, when: str) -> None:
    error, told = ERRORS[name]
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(Server(error, when).server, "memory://strays") as listener:
            async with mcpc.Client(listener.uri) as other, mcpc.Client(listener.uri) as client:
                untouched = await other.start_task("wait")
                if when == "after":
                    task = await client.start_task("work")
                    with pytest.raises(mcpc.TaskFailed) as failed:
                        await task.result()
                    assert str(failed.value) == told
                else:
                    with pytest.raises(MCPError):
                        await client.start_task("work")
                async with mcp.Client(mcpc.connect(listener.uri)) as plain:
                    if when == "after":
                        assert (await plain.call_tool("work", {})).is_error
                    else:
                        with pytest.raises(MCPError):
                            await plain.call_tool("work", {})
                    assert await plain.list_tools()
                await untouched.send("go on")
                assert await untouched.result() == "fine"


@pytest.mark.parametrize("name", ERRORS)
async def test_a_prompt_or_a_resource_ends_its_request_alone(name: str) -> None:
    error, told = ERRORS[name]
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(Server(error).server, "memory://strays") as listener:
            async with mcpc.Client(listener.uri) as other, mcp.Client(mcpc.connect(listener.uri)) as client:
                untouched = await other.start_task("wait")
                with pytest.raises(MCPError) as refused:
                    await client.get_prompt("greet")
                assert told in str(refused.value)
                with pytest.raises(MCPError) as refused:
                    await client.read_resource("failing://one")
                assert told in str(refused.value)
                await untouched.send("go on")
                assert await untouched.result() == "fine"


@pytest.mark.parametrize("name", ERRORS)
async def test_an_ordinary_tool_in_a_thread_ends_its_call_alone(name: str) -> None:
    error, told = ERRORS[name]
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(Server(error).server, "memory://strays") as listener:
            async with mcpc.Client(listener.uri) as other, mcp.Client(mcpc.connect(listener.uri)) as client:
                untouched = await other.start_task("wait")
                answer = await client.call_tool("in_a_thread", {})
                assert answer.is_error
                assert told in str(answer.content)
                assert await client.list_tools()
                assert await other.list_tools()
                await untouched.send("go on")
                assert await untouched.result() == "fine"


async def test_a_call_that_is_cancelled_is_cancelled() -> None:
    server = MCPServer[Any]("cancelled", log_level="CRITICAL")
    mcpc.MCPCHelper(server)
    begun, cancelled = anyio.Event(), anyio.Event()

    @server.tool()
    async def sleep() -> None:  # pyright: ignore[reportUnusedFunction]
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(server, "memory://strays") as listener:
            async with mcp.Client(mcpc.connect(listener.uri)) as client:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "sleep")
                    await begun.wait()
                    tasks.cancel_scope.cancel()
                await cancelled.wait()
                assert await client.list_tools()
