"""What one worker raises ends its own task and nothing else: over every transport, for every kind of caller."""

from pathlib import Path
from typing import Any, cast

import anyio
import mcp
import pytest
from mcp.shared.exceptions import MCPError

import mcpc
from bad_workers import ORDINARY, WAYS, bad_server
from sep2663_kit import by_hand
from support import HERE, Served, serving

pytestmark = pytest.mark.anyio

SCHEMES = ["memory", "stdio", "unix", "tcp", "ws", "http", "sse+http"]
SEP2663_SCHEMES = ["memory", "stdio", "unix", "tcp", "ws", "http"]
"""Those that speak the era of the tasks extension."""
DEADLINE = 60
TOOLS = {f"{way}_{kind}": told for way, (_, told) in WAYS.items() for kind in ("async", "sync")}


def told_of(failed: mcpc.TaskFailed) -> str:
    """What the last message says, as a plain caller reads it."""
    details = cast("dict[str, Any]", failed.result)
    return f"{details['error']}: {details['message']}"


async def _told(client: mcpc.Client, tool: str) -> str:
    with pytest.raises(mcpc.TaskFailed) as failed:
        await (await client.start_task(tool)).result()
    return told_of(failed.value)


async def _told_plainly(client: mcp.Client, tool: str) -> str:
    try:
        result = await client.call_tool(tool, {})
    except MCPError as exc:  # raised by the worker, so it is the answer
        return f"MCPError: {exc}"
    assert result.is_error
    return cast("Any", result.content[0]).text


def _at(served: Served, scheme: str) -> str:
    """Where the server is; over stdio, the one that is run."""
    return served.uri.replace("stdio_server.py", "bad_workers.py") if scheme == "stdio" else served.uri


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_task_fails_alone_whatever_its_worker_raises(scheme: str, tmp_path: Path) -> None:
    assert (HERE / "bad_workers.py").exists()
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, bad_server()) as served:
            uri = _at(served, scheme)
            async with mcpc.Client(uri) as client, mcpc.Client(uri) as other:
                untouched = await other.start_task("wait")
                assert {tool: await _told(client, tool) for tool in TOOLS} == TOOLS
                later = await client.start_task("wait")
                for task in (untouched, later):
                    await task.send("go on")
                    assert await task.result() == "fine"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_plain_caller_is_told_and_its_connection_goes_on(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, bad_server()) as served:
            async with mcp.Client(mcpc.connect(_at(served, scheme))) as client:
                assert {tool: await _told_plainly(client, tool) for tool in TOOLS} == TOOLS


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_ordinary_tool_too_ends_nothing_but_its_call(scheme: str, tmp_path: Path) -> None:
    expected = {f"ordinary_{way}_{kind}": WAYS[way][1] for way in ORDINARY for kind in ("async", "sync")}
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, bad_server()) as served:
            uri = _at(served, scheme)
            async with mcpc.Client(uri) as other, mcp.Client(mcpc.connect(uri)) as client:
                untouched = await other.start_task("wait")
                assert {tool: await _told_plainly(client, tool) for tool in expected} == expected
                await untouched.send("go on")
                assert await untouched.result() == "fine"


@pytest.mark.parametrize("scheme", SEP2663_SCHEMES)
async def test_a_caller_of_the_tasks_extension_is_told(scheme: str, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE):
        async with serving(scheme, tmp_path, bad_server()) as served, by_hand(_at(served, scheme)) as client:
            for tool, told in TOOLS.items():
                task_id = (await client.call(tool))["taskId"]
                while (state := await client.get(task_id))["status"] == "working":
                    pass
                if tool.startswith("rpc"):
                    assert (state["status"], state["error"]["message"]) == ("failed", "no such table")
                elif tool.startswith("stopped"):
                    assert state["status"] == "cancelled"
                else:
                    assert state["status"] == "completed"
                    assert state["result"]["isError"]
                    assert state["result"]["content"][0]["text"] == told


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_worker_that_cancels_itself_fails_alone() -> None:
    with anyio.fail_after(DEADLINE):
        async with mcpc.listen(bad_server(), "memory://itself") as listener:
            async with mcpc.Client(listener.uri) as client, mcp.Client(mcpc.connect(listener.uri)) as plain:
                assert await _told(client, "cancels_itself") == "CancelledError: "
                result = await plain.call_tool("cancels_itself", {})
                assert cast("Any", result.content[0]).text == "CancelledError: "
                task = await client.start_task("wait")
                await task.send("go on")
                assert await task.result() == "fine"
