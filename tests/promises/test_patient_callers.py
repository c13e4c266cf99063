"""Silence ends a call, and work does not, in the seconds that people have: they pass at once, as the clock is a test's.

Trio's clock jumps to the next deadline whenever nothing else can happen, so nothing depends on how fast the machine is.
The connections are in memory: of a socket it could not know that something is on its way.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import mcp
import pytest
import trio.testing
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ElicitResult, TextContent

import mcpc
from mcpc.uri import listen_at
from support import PlainEndpoint

Mode = Literal["auto", "legacy"]
MODES: list[Mode] = ["auto", "legacy"]
STEP, TIMEOUT = 4.0, 5.0
"""Seconds between two signs of life, and seconds of silence that a caller bears."""
HOUR = 3600.0


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run it to its end; the clock stands still while anything can be done."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})


def make_server() -> MCPServer[Any]:
    """A server whose ordinary tool, and whose background tool, works for so many steps, and is silent from one on."""
    server = MCPServer[Any]("patient", log_level="CRITICAL")

    @server.tool()
    async def works(steps: int, ctx: Context[Any, Any], silent_from: int = 9999) -> int:  # pyright: ignore[reportUnusedFunction]
        for step in range(steps):
            await anyio.sleep(STEP if step < silent_from else HOUR)
            await ctx.report_progress(step)
        return steps

    return server


def with_background_tool() -> MCPServer[Any]:
    server = make_server()
    callbacks = mcpc.MCPCHelper(server, stop_grace=0.0)

    @callbacks.tool()
    async def works_in_background(steps: int, task: mcpc.Task, silent_from: int = 9999) -> int:  # pyright: ignore[reportUnusedFunction]
        for step in range(steps):
            await anyio.sleep(STEP if step < silent_from else HOUR)
            await task.update({"progress": step})
        return steps

    return server


@asynccontextmanager
async def dialled(kind: str, mode: Mode) -> AsyncGenerator[mcpc.Client]:
    """A client of ours: of a server of ours, or of one that knows nothing of MCPC."""
    if kind == "ours":
        async with mcpc.Client(with_background_tool(), mode=mode) as client:
            yield client
        return
    async with listen_at("memory://patient", PlainEndpoint(make_server())) as listener:
        async with mcpc.Client(listener.uri, mode=mode) as client:
            yield client


async def called(client: mcpc.Client, tool: str, arguments: dict[str, Any], **bounds: Any) -> Any:
    structured = (await client.call_tool(tool, arguments, **bounds)).structured_content
    return structured and structured["result"]


async def started(client: mcpc.Client, tool: str, arguments: dict[str, Any], **bounds: Any) -> Any:
    return await (await client.start_task(tool, arguments, **bounds)).result()


CALLS: list[Any] = [
    pytest.param("ours", called, "works", id="a call of a server of ours"),
    pytest.param("ours", started, "works", id="an ordinary tool, started"),
    pytest.param("ours", started, "works_in_background", id="a background tool, started"),
    pytest.param("another's", called, "works", id="a call of another's server"),
    pytest.param("another's", started, "works", id="another's tool, started"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "call", "tool"), CALLS)
def test_a_call_that_works_on_is_waited_for_whatever_it_takes(kind: str, call: Any, tool: str, mode: Mode) -> None:
    async def main() -> None:
        async with dialled(kind, mode) as client:
            before = anyio.current_time()
            assert await call(client, tool, {"steps": 90}, timeout=TIMEOUT) == 90
            assert anyio.current_time() - before >= 90 * STEP

    in_virtual_time(main)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "call", "tool"), CALLS)
def test_a_call_that_falls_silent_is_ended_after_that_time(kind: str, call: Any, tool: str, mode: Mode) -> None:
    async def main() -> None:
        async with dialled(kind, mode) as client:
            before = anyio.current_time()
            with pytest.raises(mcpc.TimedOut, match=r"nothing was heard of it for 5\.0 s"):
                await call(client, tool, {"steps": 9, "silent_from": 3}, timeout=TIMEOUT, max_timeout=HOUR)
            assert anyio.current_time() - before == pytest.approx(3 * STEP + TIMEOUT)

    in_virtual_time(main)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "call", "tool"), CALLS)
def test_a_call_that_works_on_is_ended_by_the_bound_in_all(kind: str, call: Any, tool: str, mode: Mode) -> None:
    async def main() -> None:
        async with dialled(kind, mode) as client:
            before = anyio.current_time()
            with pytest.raises(mcpc.TimedOut, match=r"it took more than 30\.0 s in all"):
                await call(client, tool, {"steps": 90}, timeout=TIMEOUT, max_timeout=30.0)
            assert anyio.current_time() - before == pytest.approx(30.0)

    in_virtual_time(main)


# --- a host that waits five seconds, and a tool that takes thirty --------------------------------------------------


def make_slow_server() -> tuple[MCPServer[Any], list[str]]:
    """A tool that takes thirty seconds and asks once, with handles after four; and how its tasks ended."""
    server, ended = MCPServer[Any]("slow", log_level="CRITICAL"), list[str]()
    callbacks = mcpc.MCPCHelper(server, plain="handle", after=4.0)

    @callbacks.tool()
    async def migrate(table: str, task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        try:
            for part in range(10):
                await task.update({"status": f"part {part + 1} of 10"})
                await anyio.sleep(3)
            keep = await task.ask("Keep the old table?", choices=["yes", "no"])
        except BaseException:
            ended.append("cut short")
            raise
        ended.append("done")
        return {"table": table, "kept": keep}

    return server, ended


async def hosted(client: mcp.Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a host does that gives a tool up after five seconds: what its model reads is a text."""
    with anyio.fail_after(60):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error
    (block,) = result.content
    assert isinstance(block, TextContent)
    return json.loads(block.text[block.text.index("{") :])


@pytest.mark.parametrize("mode", MODES)
def test_a_host_of_five_seconds_runs_a_tool_of_thirty_by_the_clock(mode: Mode) -> None:
    async def main() -> None:
        server, ended = make_slow_server()
        async with mcpc.listen(server, "memory://slow") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode) as client:
                before = anyio.current_time()
                told = await hosted(client, "migrate", {"table": "users"})
                seen = list(told["news"])
                while told["status"] != "complete":
                    if told.get("questions"):
                        told = await hosted(client, "task_answer", {"task_id": told["task_id"], "answer": "no"})
                    else:
                        told = await hosted(client, "task_news", {"task_id": told["task_id"], "since": told["since"]})
                    seen += told["news"]
                assert told["result"] == {"table": "users", "kept": "no"}
                assert anyio.current_time() - before >= 30
                assert [entry["number"] for entry in seen] == list(range(1, 12))  # each of them once
        assert ended == ["done"]

    in_virtual_time(main)


@pytest.mark.parametrize("mode", MODES)
def test_a_caller_is_asked_while_it_waits_and_by_the_companions_once_it_has_a_handle(mode: Mode) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": "a"})

    async def main() -> None:
        server = MCPServer[Any]("asks", log_level="CRITICAL")
        callbacks = mcpc.MCPCHelper(server, plain="handle", after=4.0)

        @callbacks.tool()
        async def asks(task: mcpc.Task) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
            first = await task.ask("at once?", choices=["a"])
            await anyio.sleep(10)
            return {"answers": [first, await task.ask("later?", choices=["b"])]}

        async with mcpc.listen(server, "memory://asks") as listener:
            async with mcp.Client(mcpc.connect(listener.uri), mode=mode, elicitation_callback=answer) as client:
                told = await hosted(client, "asks", {})
                assert asked == ["at once?"]
                while not told.get("questions"):
                    told = await hosted(client, "task_news", {"task_id": told["task_id"], "since": told["since"]})
                told = await hosted(client, "task_answer", {"task_id": told["task_id"], "answer": "b"})
                while told["status"] != "complete":
                    told = await hosted(client, "task_news", {"task_id": told["task_id"]})
                assert told["result"] == {"answers": ["a", "b"]}
        assert asked == ["at once?"]

    in_virtual_time(main)
